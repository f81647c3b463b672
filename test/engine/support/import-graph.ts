import { dirname, join, relative } from 'node:path';
import ts from 'typescript';

/** A source file and the files it imports, types included. */
export interface Source {
  /** From the root of the graph, such as `engine/engine.ts`. */
  readonly path: string;
  readonly lines: number;
  /** Without its comments. */
  readonly code: string;
  /** Files of the graph by their path, anything else by its name. */
  readonly imports: readonly string[];
}

/** Reads what a file imports with TypeScript's own scanner: `import`, `export … from`, `import()` and `import type` alike. */
export function sourceOf(path: string, text: string): Source {
  const { importedFiles } = ts.preProcessFile(text, true, true);
  const imports = importedFiles.map(({ fileName }) =>
    fileName.startsWith('.') ? relative('.', join(dirname(path), fileName)).replace(/\.js$/, '.ts') : fileName,
  );
  const lines = text.split('\n').length - 1;
  return { path, lines, code: text.replace(/\/\*[\s\S]*?\*\/|(?<![:'"`])\/\/.*$/gm, ''), imports };
}

type Graph = ReadonlyMap<string, ReadonlySet<string>>;

/** Which file imports which. */
export function fileGraph(sources: readonly Source[]): Graph {
  const paths = new Set(sources.map(({ path }) => path));
  return new Map(sources.map(({ path, imports }) => [path, new Set(imports.filter((one) => paths.has(one)))]));
}

/** Which folder imports from which other; files stand for the folder they lie in, not for those above it. */
export function folderGraph(files: Graph): Graph {
  const folders = new Map<string, Set<string>>();
  const at = (folder: string): Set<string> => {
    const there = folders.get(folder) ?? new Set();
    folders.set(folder, there);
    return there;
  };
  for (const [file, imports] of files) {
    const own = at(dirname(file));
    for (const other of imports) if (dirname(other) !== dirname(file)) own.add(dirname(other));
  }
  return folders;
}

/** The sets of nodes that all reach each other (Tarjan's strongly connected components of more than one node). */
export function circlesIn(graph: Graph): string[][] {
  const circles: string[][] = [];
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const visit = (node: string): number => {
    const own = index.size;
    index.set(node, own);
    low.set(node, own);
    stack.push(node);
    for (const next of graph.get(node) ?? []) {
      if (!index.has(next)) low.set(node, Math.min(low.get(node)!, visit(next)));
      else if (stack.includes(next)) low.set(node, Math.min(low.get(node)!, index.get(next)!));
    }
    if (low.get(node) === own) {
      const circle = stack.splice(stack.indexOf(node));
      if (circle.length > 1) circles.push(circle.sort());
    }
    return low.get(node)!;
  };
  for (const node of graph.keys()) if (!index.has(node)) visit(node);
  return circles;
}
