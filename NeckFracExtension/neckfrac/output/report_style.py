"""How the report looks: light or dark as the reader's system is, and in print."""

STYLE = """
:root{color-scheme:light dark;--ink:#16202a;--soft:#55636f;--paper:#fff;--line:#dde3e8;--tint:#f2f5f8;--alarm:#b5360b;
--track:#e3e8ed;--mark:#16202a}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf0;--soft:#9aa7b3;--paper:#0d1014;--line:#29313a;--tint:#171c22;
--alarm:#ff8f63;--track:#232a32;--mark:#e6ebf0}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1160px;margin:0 auto;padding:28px 24px 48px}
h1{font-size:25px;line-height:1.2;margin:0;letter-spacing:-.01em}h2{font-size:18px;line-height:1.3;margin:0 0 8px}
h2 small{font-size:14px;font-weight:500;color:var(--soft);margin-left:12px}p{margin:6px 0}section{margin:30px 0}
.title{display:flex;flex-wrap:wrap;gap:8px 18px;align-items:center;justify-content:space-between;margin-bottom:14px}
.research{margin:0;padding:4px 12px;border:1.5px solid var(--alarm);border-radius:6px;color:var(--alarm);
font-weight:650}
dl{display:flex;flex-wrap:wrap;gap:8px 30px;margin:0;padding-bottom:16px;border-bottom:1px solid var(--line)}
dt{color:var(--soft);font-size:12px}dd{margin:0;overflow-wrap:anywhere}
.verdict{display:flex;gap:20px;justify-content:space-between;align-items:center;margin:20px 0;padding:16px 22px;
border-radius:10px;background:var(--tint);border-left:6px solid #5b8094}.verdict.found{border-color:#d63600}
.verdict h2{font-size:21px;margin:0}.verdict p{margin:2px 0 0}
.verdict .figure{display:flex;flex-direction:column;text-align:right;color:var(--soft);font-size:13px;
white-space:nowrap}
.verdict .figure b{font-size:32px;line-height:1.1;color:var(--ink);font-variant-numeric:tabular-nums}
.uncertain{margin:20px 0;padding:14px 22px;border-radius:10px;border:1.5px solid var(--alarm);background:var(--tint)}
.uncertain h2{font-size:17px;margin:0;color:var(--alarm)}.uncertain p{margin:2px 0 0}
.overview{width:100%;border-radius:10px;display:block}.small{color:var(--soft);font-size:13px}
.warnings{padding:12px 22px;border-radius:10px;background:var(--tint)}.warnings h2{font-size:15px;margin:0}
.warnings ul{margin:4px 0;padding-left:20px}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:7px 12px 7px 0;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600;font-size:13px;vertical-align:bottom}
td:first-child{font-weight:600}tr.positive td{font-weight:650}
tr.unseen td{color:var(--soft);font-style:italic;font-weight:400}.narrow{width:auto;margin-top:16px;font-size:13px}
.narrow td{font-weight:400!important;padding:3px 24px 3px 0}
.models{font-size:13px}code{font:12px/1.4 ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
.bar{position:relative;display:inline-block;width:190px;height:12px;background:var(--track);border-radius:3px;
margin-right:10px;vertical-align:-1px}.bar i{display:block;height:100%;border-radius:3px}
.bar s{position:absolute;top:-3px;bottom:-3px;width:2px;margin-left:-1px;background:var(--mark)}
.measure{white-space:nowrap}
.chip{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:7px;border:1px solid #0003}
a{color:inherit;text-underline-offset:3px}
#drawn{width:16px;height:16px;margin:0 8px 0 0;vertical-align:-2px}label{color:var(--soft)}
#drawn:not(:checked)~.finding .drawn{visibility:hidden}
.views{display:grid;grid-template-columns:repeat(3,1fr);gap:12px}figure{margin:0}
@media(max-width:640px){.views{grid-template-columns:1fr}}
.view{position:relative;background:#000;border-radius:8px;overflow:hidden}.view img,.view svg{display:block;width:100%}
.view img+img,.view svg{position:absolute;inset:0;height:100%}
figcaption{color:var(--soft);font-size:13px;margin-top:4px}
svg rect{fill:none;stroke-width:2.5}svg .under{stroke:#000;stroke-width:5;opacity:.7}
svg text{fill:#eef2f6;font:600 17px system-ui,"DejaVu Sans",sans-serif;text-anchor:middle;paint-order:stroke;
stroke:#000c;stroke-width:4px}svg .scale{font-size:13px}svg path{stroke:#eef2f6;stroke-width:2.5}
@media print{:root{--ink:#000;--soft:#444;--paper:#fff;--line:#ccc;--tint:#f4f4f4;
--alarm:#a02d05;--track:#e5e5e5;--mark:#000}
@page{margin:14mm}body{font-size:12px}.bar{width:110px}main{max-width:none;padding:0}#drawn,label{display:none}
.finding,.verdict,.uncertain,.overview,tr{break-inside:avoid}h2{break-after:avoid}section{margin:18px 0}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""
