/**
 * Each vote has an owner of its own: `<owner>/<number>`. A vote that was taken back is never asked for again under the same name, for a
 * late answer or push would otherwise count as a vote that the release, which is still on its way, is about to free: that makes two holders.
 */
export const voteOwner = (owner: string, number: number): string => `${owner}/${number}`;

/** The owner whose vote this is. */
export const ownerOf = (voteOwner: string): string => voteOwner.replace(/\/\d+$/, '');
