import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface CodeBlock {
  /** Where it stands, such as `README.md:42`. */
  readonly where: string;
  /** What follows the language: nothing for a module of its own, `members` of a class, `body` of an async function. */
  readonly kind: string;
  readonly code: string;
}

/** The TypeScript on a page. */
export function codeBlocks(page: string): readonly CodeBlock[] {
  const text = readFileSync(ROOT + page, 'utf8');
  return [...text.matchAll(/^```ts ?(\w*)\n(.*?)^```$/gms)].map((match) => ({
    where: `${page}:${text.slice(0, match.index).split('\n').length}`,
    kind: match[1] ?? '',
    code: match[2] ?? '',
  }));
}

/** What a fragment may use without an import. */
const SURROUNDINGS = `
import { Body, Controller, Get, Injectable, Module, Param, Post, type Provider, StreamableFile, UseInterceptors } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { Cron, Interval } from '@nestjs/schedule';
import { Test } from '@nestjs/testing';
import * as rxjs from 'rxjs';
import { expect } from 'vitest';
import {
  currentLock, DistributedLockModule, InjectLockService, Leader, LeaderElection, type Leadership, type Lock, Locked, LockExceptionFilter,
  LockInterceptor, LockParam, LockService, memory,
} from 'nestjs-distributed-lock';
import { etcd } from 'nestjs-distributed-lock/etcd';
import { redis } from 'nestjs-distributed-lock/redis';
import { LockTestingModule } from 'nestjs-distributed-lock/testing';

interface Order { readonly id: string; readonly customer: { readonly id: string } }
declare class ConfigModule {}
declare class ConfigService { getOrThrow(name: string): string }
declare class OrdersService { place(id: string): Promise<string> }
declare class AppModule {}
declare const locks: LockService;
declare const db: {
  charge(id: string, token: bigint | undefined): Promise<void>;
  export(id: string): Uint8Array;
  importPage(page: number): Promise<void>;
  publishBatch(token: bigint | undefined, signal: AbortSignal): Promise<void>;
};
declare const metrics: { observe(name: string, value: number, labels: object): void; count(name: string, labels: object): void };
`;

function moduleOf({ kind, code }: CodeBlock): string {
  if (kind === 'members') return `${SURROUNDINGS}\n@Injectable()\nexport class Fragment {\n${code}\n}\n`;
  if (kind === 'body') return `${SURROUNDINGS}\nexport async function fragment(): Promise<void> {\n${code}\n}\n`;
  return `${code}\nexport {};\n`;
}

/** A block whose first line is its file's name is a file of that name, which other blocks of the page may import. */
function pathOf({ where, code }: CodeBlock, index: number): string {
  const [, name] = /^\/\/ ([\w.]+\.ts)\n/.exec(code) ?? [];
  return name === undefined ? `block-${index}.ts` : `${where.replace(/[^a-z]/gi, '-').replace(/-+$/, '')}/${name}`;
}

/** What the compiler says of them, each as a file of its own beside this one, with the compiler options of the repository. */
export function typeErrors(blocks: readonly CodeBlock[]): readonly string[] {
  const config = ts.readConfigFile(`${ROOT}tsconfig.json`, (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonConfigFileContent(config.config, { ...ts.sys, readDirectory: () => [] }, ROOT);
  const files = new Map(blocks.map((block, index) => [`${ROOT}test/docs/${pathOf(block, index)}`, block]));
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => files.has(path) || fileExists(path);
  // Resolution looks into no folder that is not there.
  host.directoryExists = (path) =>
    [...files.keys()].some((file) => file.startsWith(`${path}/`)) || ts.sys.directoryExists(path);
  host.readFile = (path) => readFile(path);
  host.getSourceFile = (path, languageVersion, ...rest) => {
    const block = files.get(path);
    return block
      ? ts.createSourceFile(path, moduleOf(block), languageVersion)
      : getSourceFile(path, languageVersion, ...rest);
  };
  const program = ts.createProgram([...files.keys()], options, host);
  return [...files].flatMap(([path, { where }]) => {
    const file = program.getSourceFile(path);
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
      ({ messageText, start = 0 }) =>
        `${where}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}\n  at ${file?.text.slice(start, start + 60)}`,
    );
  });
}
