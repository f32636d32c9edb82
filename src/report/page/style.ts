/** The style sheet of a page: light, dark and printed. Colours are at least 4.5:1 as words and 3:1 as areas. */
export const STYLE = `
:root { color-scheme: light dark; --back: #fff; --card: #f6f7f9; --text: #1b1f24; --soft: #57606a; --line: #d0d7de; --link: #0b57a4;
  --s0: #0b5fa5; --s1: #c2410c; --s2: #8a6100; --s3: #0f766e; --s4: #7a3e9d; --s5: #57606a; --s6: #b4236b; --s7: #3f6212;
  --safe: #0f6b52; --exposed: #8a5a00; --unsafe: #b42318; }
@media (prefers-color-scheme: dark) { :root { --back: #0f1419; --card: #1a2129; --text: #e6edf3; --soft: #9da7b3; --line: #38424d; --link: #7cc0ff;
  --s0: #5aa9ee; --s1: #ff9561; --s2: #e0b040; --s3: #4fd1b5; --s4: #c69bf0; --s5: #a3acb8; --s6: #f589bd; --s7: #a3d65c;
  --safe: #56d3ac; --exposed: #f0c04a; --unsafe: #ff938a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem 1.5rem 3rem; max-width: 64rem; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0 .25rem; }
h2 { font-size: 1.35rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 2px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .25rem; }
p { margin: .25rem 0 .75rem; max-width: 46rem; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, button:focus-visible, select:focus-visible, input:focus-visible, .scroll:focus-visible, pre:focus-visible
  { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 1rem; background: var(--back); padding: .5rem; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .5rem 0 1rem; font-size: .92rem; }
.facts dt { color: var(--soft); }
.facts dt.safe, .facts dt.exposed, .facts dt.unsafe { font-weight: 600; }
.facts dd { margin: 0; }
dt.safe, span.safe { color: var(--safe); } dt.exposed, span.exposed { color: var(--exposed); } dt.unsafe, span.unsafe { color: var(--unsafe); }
td span.safe, td span.exposed, td span.unsafe { font-weight: 600; }
span.exposed::before { content: "\\25b2\\a0"; } td span.unsafe::before { content: "\\25a0\\a0"; } td span.safe::before { content: "\\25cf\\a0"; }
section:not([data-filtered]) span::before { content: none !important; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .86rem; margin: .25rem 0 .5rem; overflow-wrap: normal; }
caption { text-align: left; color: var(--soft); padding: .25rem 0; }
th, td { text-align: left; padding: .25rem .45rem; border-bottom: 1px solid var(--line); vertical-align: top; font-weight: 400; }
thead th { vertical-align: bottom; font-weight: 600; border-bottom: 2px solid var(--soft); }
tbody th { white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number { white-space: nowrap; }
th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0; padding: 0; text-align: inherit; cursor: pointer; }
th button::after { content: "\\a0\\2195"; color: var(--soft); }
th[aria-sort=ascending] button::after { content: "\\a0\\2191"; color: var(--text); }
th[aria-sort=descending] button::after { content: "\\a0\\2193"; color: var(--text); }
tr.hot > *, tr:hover > * { background: var(--card); }
figure { margin: 1.5rem 0; }
figure svg { display: block; width: 100%; min-width: 36rem; max-width: 54rem; height: auto; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1rem; padding: 0; margin: .25rem 0 .5rem; font-size: .86rem; }
.legend svg { width: auto; min-width: 0; display: inline-block; vertical-align: -2px; margin-right: .35rem; }
text { font: 12px system-ui, sans-serif; fill: var(--text); }
text.tick { fill: var(--soft); font-size: 11px; } text.machine { font-weight: 600; } text.value { font-variant-numeric: tabular-nums; }
.patterns { position: absolute; }
.grid { stroke: var(--line); } .zero { stroke: var(--soft); stroke-width: 1.5; }
.hatch { stroke: var(--back); stroke-width: 1.6; fill: none; }
.s0 { fill: var(--s0); } .s1 { fill: var(--s1); } .s2 { fill: var(--s2); } .s3 { fill: var(--s3); }
.s4 { fill: var(--s4); } .s5 { fill: var(--s5); } .s6 { fill: var(--s6); } .s7 { fill: var(--s7); }
rect.mark { stroke: var(--back); stroke-width: 1; }
path.safe { fill: var(--safe); } path.exposed { fill: var(--exposed); } path.unsafe { fill: var(--unsafe); }
.corner { fill: var(--safe); opacity: .14; } .lead { stroke: var(--soft); stroke-width: .8; }
.front { fill: none; stroke: var(--soft); stroke-width: 1.5; stroke-dasharray: 5 3; }
.curve { fill: none; stroke-width: 2; } .cross { fill: var(--back); stroke: var(--text); stroke-width: 2; }
.l0 { stroke: var(--s0); } .l1 { stroke: var(--s1); } .l2 { stroke: var(--s2); } .l3 { stroke: var(--s3); }
.l4 { stroke: var(--s4); } .l5 { stroke: var(--s5); } .l6 { stroke: var(--s6); } .l7 { stroke: var(--s7); }
.hit { fill: transparent; } .thick { stroke: var(--s0); stroke-width: 5; } .thin { stroke: var(--s0); stroke-width: 1.5; }
.point { fill: var(--back); stroke: var(--s0); stroke-width: 2; } .stroke { stroke: var(--text); stroke-width: 3; } .full { fill: var(--s1); }
svg g.hot text { font-weight: 700; } svg .hot rect.mark, svg rect.mark:hover { stroke: var(--text); stroke-width: 1.5; }
.out { display: none; } svg .out { display: inline; opacity: .12; }
details { margin: .35rem 0; } summary { cursor: pointer; color: var(--link); font-size: .92rem; padding: .15rem 0; }
pre { background: var(--card); border: 1px solid var(--line); padding: .6rem .8rem; overflow-x: auto; font-size: .82rem; }
code { font-family: ui-monospace, monospace; }
.schedule td.step { background: var(--card); border-left: 3px solid var(--s0); }
.stale { text-align: center; font-weight: 700; } .stale.due { background: color-mix(in srgb, var(--exposed) 22%, transparent); }
.stale.open { background: color-mix(in srgb, var(--soft) 14%, transparent); } .stale.used { background: color-mix(in srgb, var(--unsafe) 25%, transparent); }
.key { color: var(--soft); font-size: .86rem; } .key span { margin-right: 1rem; }
.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.filter { display: flex; flex-wrap: wrap; gap: .4rem 1rem; align-items: center; border: 1px solid var(--line); background: var(--card);
  padding: .5rem .8rem; margin: .5rem 0; font-size: .9rem; }
.filter label { display: inline-flex; gap: .4rem; align-items: center; } .filter input, .filter select { font: inherit; max-width: 14rem; }
#tip { position: fixed; z-index: 2; pointer-events: none; max-width: 24rem; background: var(--text); color: var(--back); padding: .3rem .55rem;
  border-radius: 4px; font-size: .84rem; } #tip[hidden] { display: none; }
footer { margin-top: 3rem; color: var(--soft); font-size: .86rem; }
@media print {
  :root { color-scheme: light; --back: #fff; --card: #f6f7f9; --text: #000; --soft: #444; --line: #bbb; --link: #000;
    --s0: #0b5fa5; --s1: #c2410c; --s2: #8a6100; --s3: #0f766e; --s4: #7a3e9d; --s5: #57606a; --s6: #b4236b; --s7: #3f6212;
    --safe: #0f6b52; --exposed: #8a5a00; --unsafe: #b42318; }
  body { font-size: 11px; max-width: none; padding: 0; } .skip, .filter, #tip, nav { display: none; }
  .scroll, pre { overflow: visible; } pre { white-space: pre-wrap; } th button::after { content: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } figure svg, tr { break-inside: avoid; }
  figure svg { min-width: 0; } table { font-size: .8em; } th, td { padding: .15rem .3rem; overflow-wrap: anywhere; }
  details::details-content { content-visibility: visible; display: block; height: auto; } summary { list-style: none; color: var(--text); font-weight: 600; }
}
`;
