import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/**
 * Downloads a package of another Debian release, for programs that this one left out. It comes from the mirror that apt is set up with,
 * is checked by apt as every other one, and apt's own lists stay as they are.
 *
 * @returns the file, and how to remove it
 */
export function downloadFrom(release: string, name: string): { readonly file: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'debian-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    const sources = join(folder, 'sources.list');
    const lists = join(folder, 'lists');
    const cache = join(folder, 'cache');
    mkdirSync(join(lists, 'partial'), { recursive: true });
    mkdirSync(join(cache, 'archives/partial'), { recursive: true });
    const signed = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : '';
    writeFileSync(sources, `deb ${signed}${mirror()} ${release} main\n`);
    const settings = {
      'Dir::Etc::sourcelist': sources,
      'Dir::Etc::sourceparts': '-',
      'Dir::State::lists': lists,
      'Dir::Cache': cache,
      // An old release is not signed anew, and needs no index but that of its packages.
      'Acquire::Check-Valid-Until': 'false',
      'Acquire::Languages': 'none',
      // The folder is for this user alone, and so is the download.
      'APT::Sandbox::User': '',
      'APT::Update::Post-Invoke-Success': '',
    };
    const options = Object.entries(settings).flatMap(([setting, value]) => ['-o', `${setting}=${value}`]);
    const apt = (...args: string[]): void => {
      execFileSync('apt-get', [...options, '-qq', ...args], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
    };
    apt('update');
    apt('download', name);
    const file = readdirSync(folder).find((entry) => entry.endsWith('.deb'));
    if (!file) throw new Error(`apt-get download of ${name} from ${release} left no file`);
    return { file: join(folder, file), remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Where apt gets the packages of this machine's own release from. */
function mirror(): string {
  const format = '$(ORIGIN) $(LABEL) $(REPO_URI)';
  const targets = execFileSync('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'], {
    encoding: 'utf8',
  });
  const uri = /^Debian Debian (\S+)$/m.exec(targets)?.[1];
  if (!uri) throw new Error('apt is not set up with a Debian mirror');
  return uri;
}
