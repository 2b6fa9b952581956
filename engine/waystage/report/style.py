"""The page's own style: light and dark, on screen and on paper."""

STYLE = """
:root{color-scheme:light dark;--ink:#1b2530;--soft:#566472;--faint:#e3e8ee;--page:#f4f6f9;
--card:#fff;--line:#cfd7e0;--main:#1c5fc4;--other:#9fb0c3;--reference:#74818f;--ok:#1e7d4a;
--warn:#b86a00;--breach:#c22f2f;--unknown:#6c5b9e;--ok-soft:#e4f4ea;--warn-soft:#fdf0dc;
--breach-soft:#fbe6e6;--unknown-soft:#eeebf7}
@media (prefers-color-scheme:dark){:root{--ink:#e6ebf1;--soft:#a3b0be;--faint:#2a333d;
--page:#12171d;--card:#1a2129;--line:#38434f;--main:#6ea8ff;--other:#5c6d80;--reference:#8f9cab;
--ok:#5cc78c;--warn:#f0ab4c;--breach:#ff7b72;--unknown:#b3a1ea;--ok-soft:#17301f;
--warn-soft:#36270f;--breach-soft:#3a1b1b;--unknown-soft:#272140}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif}
main{max-width:1080px;margin:0 auto;padding:24px 20px 60px}
header,section{background:var(--card);border:1px solid var(--line);border-radius:10px;
padding:20px 24px;margin:0 0 18px}
h1{font-size:26px;line-height:1.25;margin:0 0 2px}h2{font-size:19px;margin:0 0 8px}
h3{font-size:15px;margin:18px 0 6px}p{margin:6px 0;max-width:76ch}
p,li,figcaption,h1,h2,h3{overflow-wrap:anywhere}
.kicker{color:var(--soft);font-size:13px;letter-spacing:.04em;text-transform:uppercase;margin:0}
.lead{color:var(--soft);margin:0 0 14px;font-size:16px}
.soft{color:var(--soft)}.hash{font:12px/1.5 ui-monospace,Menlo,Consolas,monospace;
overflow-wrap:anywhere}
dl.facts{display:grid;grid-template-columns:max-content 1fr;gap:3px 18px;margin:12px 0 0}
dl.facts dt{color:var(--soft)}dl.facts dd{margin:0;overflow-wrap:anywhere}
ul.said{list-style:none;padding:0;margin:0}
ul.said li{display:grid;grid-template-columns:104px 1fr;align-items:baseline;
border-left:5px solid var(--line);border-radius:4px;padding:7px 12px;margin:0 0 7px}
ul.said li:first-child{font-size:18px;font-weight:600}
li.ok{background:var(--ok-soft);border-color:var(--ok)!important}
li.warn{background:var(--warn-soft);border-color:var(--warn)!important}
li.breach{background:var(--breach-soft);border-color:var(--breach)!important}
li.unknown{background:var(--unknown-soft);border-color:var(--unknown)!important}
.word{font-weight:700;font-size:12px;letter-spacing:.05em;
text-transform:uppercase}
.word.ok{color:var(--ok)}.word.warn{color:var(--warn)}.word.breach{color:var(--breach)}
.word.unknown{color:var(--unknown)}
.missing{border:1px dashed var(--line);border-radius:8px;padding:14px 16px;color:var(--soft);
max-width:none}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(330px,100%),1fr));gap:18px;
align-items:start;margin:10px 0}.plots>*{min-width:0}
figure{margin:0;min-width:0}figure h3{margin:0 0 4px}
figcaption{color:var(--soft);font-size:13px;margin-top:4px}
svg.plot{display:block;width:100%;height:auto}
svg.plot text{font:11px system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif;
fill:var(--soft)}
svg.plot .end{text-anchor:end}svg.plot .mid{text-anchor:middle}
svg.plot .legend,svg.plot .name{fill:var(--ink)}
.grid{stroke:var(--faint);fill:none}.axis{stroke:var(--reference);fill:none}
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke:var(--main)}
.line.other{stroke:var(--reference)}.line.reference{stroke:var(--reference);stroke-width:1.3;
stroke-dasharray:5 4}
.line.warn,.line.breach{stroke-width:1.5;stroke-dasharray:7 4}
.line.warn{stroke:var(--warn)}.line.breach{stroke:var(--breach)}
.bar{fill:var(--main)}.bar.other{fill:var(--other)}
.dot{fill:var(--main);stroke:var(--card);stroke-width:1}
.dot.ok{fill:var(--ok)}.dot.warn{fill:var(--warn)}.dot.breach{fill:var(--breach)}
.dot.unknown{fill:var(--unknown)}.dot.other{fill:var(--card);stroke:var(--ink);stroke-width:1.5}
.dot.reference{fill:var(--reference)}
.whisker{fill:none;stroke:var(--main);stroke-width:1.3}.whisker.ok{stroke:var(--ok)}
.whisker.warn{stroke:var(--warn)}.whisker.breach{stroke:var(--breach)}
.whisker.other,.whisker.reach{stroke:var(--ink)}.whisker.unknown{stroke:var(--unknown)}
.mark{stroke:var(--ink);stroke-width:2;fill:none}.mark.breach{stroke:var(--breach)}
.mark.reference{stroke:var(--reference);stroke-width:1;stroke-dasharray:2 3}
svg.plot .halo{paint-order:stroke;stroke:var(--card);stroke-width:4px;font-weight:700;
fill:var(--ink)}
svg.plot .halo.breach{fill:var(--breach)}svg.plot .halo.reference{font-weight:400}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:13px;margin:6px 0 4px;width:100%}
caption{text-align:left;font-weight:600;padding:4px 0;color:var(--ink)}
th,td{padding:4px 10px 4px 0;text-align:left;vertical-align:top;
border-bottom:1px solid var(--faint)}
th{color:var(--soft);font-weight:600}td:first-child{white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
details{margin:8px 0}summary{cursor:pointer;color:var(--main);font-size:14px}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;margin:14px 0 0;font-size:14px}
a{color:var(--main)}footer{color:var(--soft);font-size:13px}
@media (max-width:640px){main{padding:10px}header,section{padding:14px}
dl.facts{grid-template-columns:1fr}dl.facts dd{margin-bottom:6px}}
@page{size:A4;margin:16mm 14mm 18mm;@bottom-right{content:counter(page) " / " counter(pages);
font:9pt Helvetica,Arial,sans-serif;color:#566472}}
@media print{:root{color-scheme:light;--ink:#111;--soft:#444;--faint:#e1e5ea;--page:#fff;
--card:#fff;--line:#c9d0d8;--main:#1c5fc4;--other:#9fb0c3;--reference:#74818f;--ok:#1e7d4a;
--warn:#b86a00;--breach:#c22f2f;--unknown:#6c5b9e;--ok-soft:#e4f4ea;--warn-soft:#fdf0dc;
--breach-soft:#fbe6e6;--unknown-soft:#eeebf7}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
body{font-size:10.5pt;line-height:1.4}main{max-width:none;padding:0}nav,summary{display:none}
header,section{border:0;border-radius:0;padding:0;margin:0 0 7mm}
section{border-top:1px solid var(--line);padding-top:4mm}
h2,h3,caption,section>p{break-after:avoid}.plots{break-before:avoid}
.hash{font-size:7.5pt}figure,p,ul.said li,tr,.missing{break-inside:avoid}
section.chapter{break-before:page;border-top:0;padding-top:0}
.plots{grid-template-columns:1fr 1fr;gap:6mm}
table{font-size:8.5pt}th,td{padding:2px 6px 2px 0}td:first-child{white-space:normal}
.plots table{font-size:7pt}.plots th,.plots td{padding:2px 3px 2px 0}
.scroll{overflow:visible}details>:not(summary){display:block}
details::details-content{content-visibility:visible;height:auto}}
"""
