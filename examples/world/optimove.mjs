#!/usr/bin/env node
// A fake Optimove: answers its API, has campaigns, and notifies the listeners registered with it. See README.md.

import { runProgram } from './lib/program.mjs';
import { Optimove } from './optimove/optimove.mjs';

const defaultChannels = ['459=Push', '481=SMS', '504=Email'];

function readChannel(text, wrongUsage) {
  const [, id, name] = /^(\d+)=(.+)$/.exec(text) ?? wrongUsage(`--channel: ID=NAME, not "${text}"`);
  return { id: Number(id), name };
}

runProgram({
  name: 'optimove',
  summary: 'a fake Optimove',
  options: { 'thirdparty-key': { type: 'string', multiple: true, default: [] }, channel: { type: 'string', multiple: true } },
  help: `  --key K             a valid admin key, repeatable (optimove-key)
  --thirdparty-key K  a valid key of kind thirdparty, repeatable
  --channel ID=NAME   an execution channel, repeatable (${defaultChannels.join(', ')})`,
  makeWorld: (values, wrongUsage) => new Optimove({
    keys: [
      ...(values.key ?? ['optimove-key']).map((key) => ({ key, kind: 'admin' })),
      ...values['thirdparty-key'].map((key) => ({ key, kind: 'thirdparty' })),
    ],
    channels: (values.channel ?? defaultChannels).map((text) => readChannel(text, wrongUsage)),
  }),
});
