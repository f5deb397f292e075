/** `skep program dump`. What is in the listing is tested in test/obj/instructions and test/obj/link. */

import { describe, expect, it } from 'vitest';
import { printed, runHere } from './in-process.ts';
import { objectPath } from './skep.ts';

const LINKING = objectPath('programs/linking');

describe('skep program dump', () => {
  it('prints all programs, with the functions that they call and their source', async () => {
    const text = await printed(['program', 'dump', LINKING]);
    expect(text).toMatch(/^first \(.+\):\n/);
    expect(text).toMatch(/^second \(.+\):\n/m);
    expect(text).toMatch(/^ {4}0: /m);
    expect(text).toMatch(/^; .+ \(.+\.bpf\.c:\d+\)$/m);
    expect(text).toMatch(/: exit$/m);
  });

  it('prints one program, without source', async () => {
    const text = await printed(['program', 'dump', LINKING, 'second', '--no-source']);
    expect(text).toMatch(/^second /);
    expect(text).not.toMatch(/^first /m);
    expect(text).not.toContain(';');
  });

  it('prints the same as JSON', async () => {
    const document = JSON.parse(await printed(['program', 'dump', LINKING, 'first', '--json']));
    expect(document).toMatchObject({ format: 1, programs: [{ name: 'first' }] });
    const [{ instructions }] = document.programs;
    const text = await printed(['program', 'dump', LINKING, 'first', '--no-source']);
    for (const { slot, text: line } of instructions) {
      expect(text).toContain(`${slot}: ${line}\n`);
    }
  });

  it.each([
    ['several programs', 'programs/linking'],
    ['no programs', 'plain/empty'],
  ])('prints of %s the document as JSON.stringify would, with 2 spaces', async (_, name) => {
    const text = await printed(['program', 'dump', objectPath(name), '--json']);
    expect(text).toBe(`${JSON.stringify(JSON.parse(text), null, 2)}\n`);
    expect(JSON.parse(text)).toMatchObject({ format: 1, file: objectPath(name) });
  });

  it('reads objects of the other byte order', async () => {
    const own = await printed(['program', 'dump', LINKING, '--no-source']);
    const other = objectPath('programs/linking.eb');
    expect(await printed(['program', 'dump', other, '--no-source'])).toBe(own);
  });

  it('names the program that is missing, and one that is near', async () => {
    const missing = await runHere(['program', 'dump', LINKING, 'secnod']);
    expect(missing.status).toBe(2);
    expect(missing.stderr).toContain('no program "secnod"');
    expect(missing.stderr).toContain('second');
  });

  it('says what is wrong with an object', async () => {
    const broken = await runHere(['program', 'dump', '/does/not/exist']);
    expect(broken.status).toBe(1);
    expect(broken.stderr).toContain('/does/not/exist');
  });
});
