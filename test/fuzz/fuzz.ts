/** The loop of the thread that fuzzes, and what it tells the main thread. */

import type { MessagePort } from 'node:worker_threads';
import { leaveOut, Search } from './engine.ts';
import { type Finding, judge, type Outcome } from './judge.ts';
import { type Order, type Progress, type Report, STATE, STATE_WORDS } from './order.ts';
import { collectGarbage } from './peak.ts';
import { Random } from './random.ts';
import type { Recipe } from './recipe.ts';

const PROGRESS_MILLISECONDS = 1000;

/** Fuzzes until it is told to end; a corpus to be replayed is only run. */
export function fuzz(order: Order, port: MessagePort): void {
  const state = new Int32Array(order.shared, 0, STATE_WORDS);
  const loop = new Loop(order, port, state);
  loop.stepAll(order.corpus);
  if (!order.isReplay) {
    loop.begin();
    while (!loop.isOver) {
      loop.step(loop.search.next());
    }
  }
  loop.end(order.isSaving);
}

class Loop {
  readonly search: Search;
  readonly #port: MessagePort;
  readonly #state: Int32Array;
  readonly #text: Uint8Array;
  readonly #targets: readonly string[];
  readonly #found = new Set<string>();
  readonly #refused = new Map<string, number>();
  #slowest = { milliseconds: 0, bytes: 0 };
  #mostMemoryBytes = 0;
  #told = performance.now();

  constructor({ seed, targets, shared }: Order, port: MessagePort, state: Int32Array) {
    this.search = new Search(new Random(seed), targets);
    this.#port = port;
    this.#state = state;
    this.#text = new Uint8Array(shared, STATE_WORDS * 4);
    this.#targets = targets;
  }

  /** Whether it is time to end. */
  get isOver(): boolean {
    return Atomics.load(this.#state, STATE.end) !== 0;
  }

  /** Runs inputs as long as there is time. */
  stepAll(recipes: Iterable<Recipe>): void {
    for (const recipe of recipes) {
      if (this.isOver) {
        return;
      }
      this.step(recipe);
    }
  }

  /** Runs every base as it is. */
  begin(): void {
    for (const target of this.#targets) {
      this.stepAll(this.search.bases(target));
    }
  }

  /** Runs one input. */
  step(recipe: Recipe): void {
    this.#announce(recipe);
    const outcome = this.search.run(recipe);
    this.#note(outcome);
    const { finding } = outcome;
    if (finding !== null && !this.#found.has(finding.signature)) {
      this.#found.add(finding.signature);
      // At once: making it smaller may come upon an input that hangs.
      this.#port.postMessage({ kind: 'finding', finding, recipe } satisfies Report);
      const least = this.#minimise(recipe, finding);
      if (least !== recipe) {
        this.#port.postMessage({ kind: 'finding', finding, recipe: least } satisfies Report);
      }
    }
    if (performance.now() - this.#told > PROGRESS_MILLISECONDS) {
      this.#told = performance.now();
      this.#port.postMessage({ kind: 'progress', ...this.#progress() } satisfies Report);
    }
  }

  /** Tells that this is the end, and the corpus, made small, if it is to be kept. */
  end(isSaving: boolean): void {
    const progress = this.#progress();
    this.#port.postMessage({ kind: 'progress', ...progress } satisfies Report);
    const corpus = isSaving ? this.search.distil((recipe) => this.#announce(recipe)) : [];
    this.#port.postMessage({ kind: 'end', ...progress, corpus } satisfies Report);
  }

  #minimise(recipe: Recipe, finding: Finding): Recipe {
    return leaveOut(recipe, (smaller) => {
      if (this.isOver) {
        return false;
      }
      this.#announce(smaller);
      // What the one before took, if still there, would hide what this one takes.
      collectGarbage();
      return judge(smaller).finding?.signature === finding.signature;
    });
  }

  /** Tells the main thread what runs next, so that it knows it if it does not end. */
  #announce(recipe: Recipe): void {
    const { written } = new TextEncoder().encodeInto(JSON.stringify(recipe), this.#text);
    Atomics.store(this.#state, STATE.length, written);
    Atomics.add(this.#state, STATE.inputs, 1);
  }

  #note({ code, milliseconds, memoryBytes, bytes }: Outcome): void {
    if (code !== null) {
      this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
    }
    if (milliseconds > this.#slowest.milliseconds) {
      this.#slowest = { milliseconds, bytes };
    }
    this.#mostMemoryBytes = Math.max(this.#mostMemoryBytes, memoryBytes);
  }

  #progress(): Progress {
    const blocks = (globalThis as { skepCounts?: Uint32Array }).skepCounts?.length ?? 0;
    const reached = Array.from({ length: blocks }, (_, block) => block);
    return {
      inputs: this.search.inputs,
      kept: this.search.corpus.length,
      reached: Uint32Array.from(reached.filter((block) => this.search.isReached(block))),
      refused: Object.fromEntries(this.#refused),
      slowest: this.#slowest,
      mostMemoryBytes: this.#mostMemoryBytes,
    };
  }
}
