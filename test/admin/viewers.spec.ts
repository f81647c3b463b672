import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { expect, it } from 'vitest';
import type { Frame } from '../../lib/admin/page/frame.js';
import { Viewers } from '../../lib/admin/viewers.js';

it('a slow reader gets the latest frame when there is room again, and none of those between', () => {
  const written: string[] = [];
  const response = Object.assign(new EventEmitter(), {
    writableNeedDrain: false,
    writeHead: () => undefined,
    write: (text: string) => written.push(text),
    end: () => undefined,
  });
  let show: (make: () => Frame) => void = () => undefined;
  const frame = (matching: number) => () => ({ matching }) as Frame;
  // Of a response no more than this is used.
  new Viewers().add(response as unknown as ServerResponse, (given) => {
    show = given;
    return () => undefined;
  });
  show(frame(1));
  response.writableNeedDrain = true;
  show(frame(2));
  show(frame(3));
  response.writableNeedDrain = false;
  response.emit('drain');
  response.emit('drain');
  response.emit('close');
  expect(written.slice(1)).toEqual(['data: {"matching":1}\n\n', 'data: {"matching":3}\n\n']);
});
