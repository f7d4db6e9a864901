#!/usr/bin/env node
// A fake Netmera: takes notifications, counts every delivery, and posts hook events. See README.md.

import { runProgram } from './lib/program.mjs';
import { Netmera } from './netmera/netmera.mjs';

runProgram({
  name: 'netmera',
  summary: 'a fake Netmera',
  help: '  --key K             a valid REST key, repeatable (netmera-key)',
  makeWorld: (values) => new Netmera(values.key ?? ['netmera-key']),
});
