extension StatusPage {
    static let style = """
        :root{--back:#f4f6f8;--card:#fff;--ink:#16202b;--soft:#5b6875;--line:#dfe4ea;--good:#13795b;--bad:#b3261e;
        --warn:#8a5a00}
        @media(prefers-color-scheme:dark){:root{--back:#0f1419;--card:#182029;--ink:#e6ebf0;--soft:#98a5b3;
        --line:#2a343f;--good:#4cc38a;--bad:#ff8b82;--warn:#e2b04a}}
        *{box-sizing:border-box;margin:0}
        body{background:var(--back);color:var(--ink);font:15px/1.45 system-ui,sans-serif;max-width:64rem;margin:0 auto;
        padding:1.25rem 1rem 3rem}
        header{display:flex;flex-wrap:wrap;align-items:center;gap:.25rem .75rem;margin-bottom:1.25rem}
        h1{font-size:1.4rem;letter-spacing:-.01em}
        .state{font-weight:600;border:1px solid currentColor;border-radius:1rem;padding:.05rem .7rem;color:var(--good)}
        .draining .state{color:var(--warn)}.backend_unreachable .state{color:var(--bad)}
        .about{color:var(--soft);margin-left:auto}
        section{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.9rem 1rem;
        margin-bottom:1rem}
        h2{font-size:1rem;display:flex;flex-wrap:wrap;gap:0 .6rem;align-items:baseline;margin-bottom:.6rem}
        h2 span{font-weight:400;font-size:.85rem;color:var(--soft);overflow-wrap:anywhere}
        dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(7.5rem,1fr));gap:.7rem 1rem}
        dt{color:var(--soft);font-size:.82rem}
        dd{font-size:1.2rem;font-variant-numeric:tabular-nums}
        small{font-size:.8rem;color:var(--soft)}
        .good,.good dd{color:var(--good)}.bad,.bad dd{color:var(--bad)}.quiet,.quiet dd{color:var(--soft)}
        .bad dt{color:var(--soft)}
        table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}
        th{font-weight:400;font-size:.82rem;color:var(--soft);text-align:left}
        td,th{padding:.3rem .75rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
        tbody tr:last-child td{border-bottom:0}
        .number{text-align:right;width:5.5rem;white-space:nowrap}
        td:last-child,th:last-child{padding-right:0}
        dl+table{margin-top:.8rem}
        code{font-family:ui-monospace,monospace;font-size:.85em;color:var(--soft);overflow-wrap:anywhere}
        .none{color:var(--soft)}
        @media(max-width:30rem){.about{margin-left:0;width:100%}.number{width:3.5rem}}
        """
}
