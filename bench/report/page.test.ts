import assert from 'node:assert/strict';
import test from 'node:test';
import { htmlReport } from './page.ts';
import { sampleReport } from './sample-report.ts';

/** Fails unless every element is closed in turn, attributes are quoted, and no bare `<` or `&` is left. */
function assertWellFormed(page: string): void {
  const open: string[] = [];
  const rest = page
    .replace('<!DOCTYPE html>', '')
    .replace(/<(\/?)([a-z][a-z0-9]*)((?: [\w-]+="[^"<]*")*)(\/?)>/gi, (_, end: string, name: string, _words, empty) => {
      if (end !== '') assert.equal(open.pop(), name, `</${name}> closes something else`);
      else if (empty === '') open.push(name);
      return '';
    });
  assert.deepEqual(open, []);
  assert.doesNotMatch(rest, /[<>]|&(?!(?:amp|lt|gt|quot);)/);
}

test('the page is well-formed, whatever was measured', () => {
  const whole = sampleReport({ problems: ['sort: <a> & "b" differ'] });
  assertWellFormed(htmlReport(whole));
  assertWellFormed(htmlReport({ ...whole, rows: [] }));
  assertWellFormed(htmlReport({ ...whole, peers: whole.peers.slice(0, 1) }));
});

test('the page asks for nothing from elsewhere', () => {
  assert.doesNotMatch(htmlReport(sampleReport()), /https?:|src=|href=|url\(|@import|<script/);
});

test('each figure is a bar and a cell of the table', () => {
  const page = htmlReport(sampleReport());
  assert.match(page, /<title>integer-sort, trapeze: 4\.00×<\/title>/);
  assert.match(page, /<title>busybox-sort, qemu-tcg: 2\.00×<\/title>/);
  assert.match(page, /<title>boot-embedded, qemu-tcg: 1\.60 s<\/title>/);
  assert.match(page, /<td>integer-sort<\/td><td>M instructions\/s<\/td><td>1000<\/td>/);
});

test('without the host, times are multiples of those of the next peer', () => {
  const whole = sampleReport();
  const page = htmlReport({ ...whole, peers: whole.peers.slice(0, 2) });
  assert.match(page, /<title>busybox-sort, trapeze: 2\.00×<\/title>/);
  assert.doesNotMatch(page, /<title>busybox-sort, qemu-tcg/);
});
