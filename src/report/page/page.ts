import type { ExplorationResult } from '../../model/exploration.ts';
import type { HistoryRecord } from '../../model/history.ts';
import type { ComparisonResult } from '../../model/result.ts';
import type { GatheredSweep } from '../../model/sweep.ts';
import { behaviour } from './behaviour.ts';
import { comparisonPart } from './comparison.ts';
import { explorationPart } from './exploration.ts';
import { historyPart } from './history.ts';
import { html, Markup } from './markup.ts';
import { STYLE } from './style.ts';
import { patterns } from './svg.ts';
import { sweepPart } from './sweep.ts';

/** What a report is of, in the order of the command line. */
export type ReportedResult =
  | { readonly kind: 'comparison'; readonly result: ComparisonResult }
  | { readonly kind: 'exploration'; readonly result: ExplorationResult }
  | { readonly kind: 'sweep'; readonly result: GatheredSweep }
  | { readonly kind: 'history'; readonly result: readonly HistoryRecord[] };

/**
 * One HTML file that loads nothing: its style and its script are named by their digests in its own content security
 * policy, so that no other can run in it.
 */
export async function reportPage(results: readonly ReportedResult[], version: string): Promise<string> {
  const script = `(${behaviour.toString()})();`;
  const policy = [
    "default-src 'none'",
    `style-src ${await digest(STYLE)}`,
    `script-src ${await digest(script)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  const parts = results.map((one, i) => ({ id: `r${i + 1}`, ...partOf(`r${i + 1}`, one) }));
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>iommulator: ${parts.map(({ name }) => name).join(', ')}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
<a class="skip" href="#main">To the results</a>
${patterns()}
<header><h1>Invalidation policies: cost and safety</h1>
<p>What each policy costs, and whether it was safe, from the same trace and the same machine. Simulated time.</p></header>
${parts.length < 2 ? '' : html`<nav aria-label="Results"><ul>${parts.map(({ id, name }) => html`<li><a href="#${id}"><bdi>${name}</bdi></a></li>`)}</ul></nav>`}
<main id="main">
${parts.map(({ part }) => part)}
</main>
<footer>Written by iommulator ${version}. A run is one order of events: safe here is not safe for ever.</footer>
<script>${new Markup(script)}</script>
</body>
</html>
`;
  return page.text;
}

/** A result with the name that leads to it. */
function partOf(id: string, one: ReportedResult): { name: string; part: Markup } {
  if (one.kind === 'comparison') return { name: one.result.trace.file, part: comparisonPart(id, one.result) };
  if (one.kind === 'sweep') return { name: one.result.name, part: sweepPart(id, one.result) };
  if (one.kind === 'history') return { name: 'History', part: historyPart(id, one.result) };
  return { name: 'Every order of the steps', part: explorationPart(id, one.result) };
}

/** A source expression of a content security policy (CSP level 3, section 2.3.1). */
async function digest(text: string): Promise<string> {
  const bytes = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
  return `'sha256-${btoa(String.fromCharCode(...bytes))}'`;
}
