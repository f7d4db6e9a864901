import assert from 'node:assert/strict';
import test from 'node:test';
import { Growing, Paged } from '../lib/growing.mjs';
import { Ring } from '../lib/ring.mjs';
import { seeded } from '../lib/seeded.mjs';
import { Settings } from '../lib/settings.mjs';
import { SlidingWindow } from '../lib/window.mjs';
import { Plan } from '../optimove/plan.mjs';

const limit = { requests: 50, windowMs: 10000 };

test('a sliding window takes fifty in ten seconds and the fifty-first when the first has left', () => {
  const window = new SlidingWindow();
  for (let i = 0; i < 50; i++) assert.equal(window.admit(limit, i), true);
  assert.equal(window.admit(limit, 9999), false);
  assert.equal(window.admit(limit, 10000), true);
  assert.equal(window.admit(limit, 10000), false);
  assert.equal(window.violations, 2);
});

test('a sliding window sees fifty before and fifty after a whole second as too many', () => {
  const window = new SlidingWindow();
  for (let i = 0; i < 50; i++) window.admit(limit, 9990);
  assert.equal(window.admit(limit, 10010), false);
});

test('what is refused does not fill the window, and is in mostInWindow', () => {
  const window = new SlidingWindow();
  for (let i = 0; i < 80; i++) window.admit(limit, 5);
  assert.equal(window.mostInWindow, 80);
  assert.equal(window.admit(limit, 10006), true);
});

test('without a limit nothing is refused and the rate is still measured', () => {
  const window = new SlidingWindow();
  for (let i = 0; i < 500; i++) assert.equal(window.admit(null, i), true);
  assert.equal(window.mostInWindow, 500);
});

test('a ring keeps the last ones, oldest first', () => {
  const ring = new Ring(3);
  for (let i = 1; i <= 5; i++) ring.push(i);
  assert.deepEqual([...ring], [3, 4, 5]);
  assert.deepEqual(ring.last(2), [4, 5]);
});

test('growing and paged arrays give back what was put in', () => {
  const list = new Growing(Float64Array);
  for (let i = 0; i < 5000; i++) list.push(i * 2);
  assert.equal(list.length, 5000);
  assert.equal(list.values[4999], 9998);
  const paged = new Paged(Uint32Array);
  paged.set(100000, 7);
  assert.equal(paged.get(100000), 7);
  assert.equal(paged.get(5), 0);
});

test('seeded numbers repeat for a seed, differ between seeds and are spread evenly', () => {
  const draw = (seed) => Array.from({ length: 10000 }, (_, i) => seeded(seed, i));
  assert.deepEqual(draw(7), draw(7));
  assert.notDeepEqual(draw(7), draw(8));
  const below = draw(7).filter((value) => value < 0.1).length;
  assert.ok(below > 900 && below < 1100, `${below} of 10000 below 0.1`);
});

test('settings merge inside objects and refuse keys and choices that do not exist, whole', () => {
  const settings = new Settings({ a: 1, deep: { mode: 'x', n: 0 }, limit: null }, { choices: { 'deep.mode': ['x', 'y'] }, shapes: { limit: { n: 0 } } });
  settings.merge({ deep: { mode: 'y' }, limit: { n: 5 } });
  assert.deepEqual(settings.values, { a: 1, deep: { mode: 'y', n: 0 }, limit: { n: 5 } });
  assert.throws(() => settings.merge({ a: 2, deep: { mode: 'z' } }), /deep\.mode/);
  assert.throws(() => settings.merge({ deep: { typo: 1 } }), /deep\.typo/);
  assert.throws(() => settings.merge({ limit: { typo: 1 } }), /limit\.typo/);
  assert.equal(settings.values.a, 1);
});

const rowsOf = (plan) => Array.from({ length: plan.length }, (_, position) => plan.rowAt(position));

test('a plan repeats every k-th row and loses none', () => {
  const plan = new Plan({ campaign: 1, channel: 459, count: 10, repeatEvery: 4 }, String);
  assert.deepEqual(rowsOf(plan), [0, 1, 2, 3, 3, 4, 5, 6, 7, 7, 8, 9]);
});

test('rows put in by faults stay where they came, also several times', () => {
  const plan = new Plan({ campaign: 1, channel: 459, count: 6 }, String);
  plan.repeatBefore(2, 2);
  assert.deepEqual(rowsOf(plan), [0, 1, 0, 1, 2, 3, 4, 5]);
  plan.repeatBefore(6, 1);
  assert.deepEqual(rowsOf(plan), [0, 1, 0, 1, 2, 3, 3, 4, 5]);
});
