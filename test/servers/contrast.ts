import type { Page } from 'playwright-core';

export interface Contrast {
  readonly text: string;
  /** Of the text's colour to what is behind it, as WCAG reckons it: 4.5 is legible. */
  readonly contrast: number;
}

/** All texts that are seen on the page, or on the dialog in front of it. What is disabled is left out, as WCAG does. */
export function contrastsOf(page: Page): Promise<readonly Contrast[]> {
  return page.evaluate<readonly Contrast[]>(`(${look.toString()})()`);
}

/** Runs in the browser. */
function look(): readonly Contrast[] {
  const { document, getComputedStyle, NodeFilter } = globalThis as unknown as BrowserWindow;
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  /** Painted, so that every way to write a colour will do. */
  const bytesOf = (color: string): readonly number[] => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminanceOf = (color: string): number => {
    const [red = 0, green = 0, blue = 0] = bytesOf(color).map((byte) => {
      const share = byte / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (node: BrowserElement | null): string => {
    if (!node) return 'white';
    const { backgroundColor } = getComputedStyle(node);
    return bytesOf(backgroundColor)[3] === 255 ? backgroundColor : behind(node.parentElement);
  };
  const root = document.querySelector('dialog[open]') ?? document.body;
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const found: Contrast[] = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const { parentElement: parent } = node;
    const text = (node.textContent ?? '').trim();
    if (!text || !parent?.checkVisibility() || parent.closest(':disabled, script, option')) continue;
    const [one, other] = [luminanceOf(getComputedStyle(parent).color), luminanceOf(behind(parent))];
    found.push({ text, contrast: (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05) });
  }
  return found;
}

/** The little of a browser's types that is used: tests have Node's. */
interface BrowserElement {
  readonly parentElement: BrowserElement | null;
  readonly textContent: string | null;
  checkVisibility(): boolean;
  closest(selector: string): BrowserElement | null;
}

interface BrowserWindow {
  readonly document: {
    readonly body: BrowserElement;
    querySelector(selector: string): BrowserElement | null;
    createElement(name: 'canvas'): {
      getContext(
        kind: '2d',
        options: object,
      ): {
        fillStyle: string;
        clearRect(...box: number[]): void;
        fillRect(...box: number[]): void;
        getImageData(...box: number[]): { readonly data: Uint8ClampedArray };
      };
    };
    createTreeWalker(root: BrowserElement, what: number): { nextNode(): BrowserElement | null };
  };
  readonly NodeFilter: { readonly SHOW_TEXT: number };
  getComputedStyle(element: BrowserElement): { readonly color: string; readonly backgroundColor: string };
}
