import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toyArchitecture } from '../toy.ts';
import { reportHtml } from './html.ts';
import { reportJson, reportOn } from './report.ts';
import { explainText, reportText } from './text.ts';

const report = reportOn(toyArchitecture('toy-jrst'));

test('the JSON has theorems by number with the names of offenders', () => {
  const json = reportJson(report);
  assert.deepEqual(json.theorems, {
    '1': { holds: false, offenders: ['JRST1'] },
    '2': { holds: false, offenders: ['JRST1'] },
    '3': { holds: true, offenders: [] },
  });
  const jrst = json.instructions.find((i) => i.name === 'JRST1');
  assert.deepEqual(
    { ...jrst, reasons: undefined },
    {
      name: 'JRST1',
      case: '',
      encoding: 'goes to an address in user mode',
      class: 'sensitive, unprivileged',
      privileged: false,
      controlSensitive: true,
      behaviourSensitive: true,
      userSensitive: false,
      reasons: undefined,
    },
  );
});

test('the text says what holds and why not', () => {
  assert.match(reportText(report), /Theorem 1: fails[\s\S]*because of JRST1[\s\S]*Theorem 3: holds/);
  assert.match(explainText(report, 'JRST1')!, /in supervisor mode changes M, which user mode leaves silently/);
  assert.equal(explainText(report, 'NONE'), undefined);
});

test('the page has a row for each case and refers to nothing outside', () => {
  const html = reportHtml(report);
  const rows = html.slice(html.indexOf('id="instructions"')).match(/<tr class=/g) ?? [];
  assert.equal(rows.length, report.verdicts.length);
  assert.doesNotMatch(html, /(src|href)=|https?:/);
});
