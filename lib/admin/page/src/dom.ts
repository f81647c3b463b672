type Child = Node | string | undefined;

/** An element with that class and those children. Text is only ever set as text, never as markup. */
export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  className: string,
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

/** The element of the page with that id. @throws when the page has none of that kind */
export function byId<K extends keyof HTMLElementTagNameMap>(kind: K, id: string): HTMLElementTagNameMap[K] {
  const found = document.querySelector<HTMLElementTagNameMap[K]>(`${kind}#${id}`);
  if (!found) throw new Error(`There is no <${kind} id="${id}">.`);
  return found;
}

/** Writes a text where it is another one: what did not change is not announced or laid out anew. */
export function write(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}
