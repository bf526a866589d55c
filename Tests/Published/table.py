"""The table: published servers, and what each is asked. No call needs a network or credentials."""

from __future__ import annotations

from collections.abc import Iterator

from model import Call, Published, prompt, resource, tool

OLD = ("pydantic==2.11.7", "starlette==0.46.2", "uvicorn==0.34.3", "sse-starlette==2.3.6", "anyio==4.9.0", "httpx==0.28.1")
"""Of the time of SDKs 1.6 to 1.12; SDKs up to 1.20 do not start with current ones."""

DAYS = (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", r"20\d\d-\d\d-\d\d", "[A-Z][a-z]+day")
"""Today's date."""

SMALL: list[Call] = [
    tool("add", a=2, b=3),
    tool("add", a="two", b=3),
    tool("add", a=2),
    tool("point", x=1.5, label="é"),
    tool("count"),
    tool("fail", why="because"),
    tool("work", steps=3),
    tool("ask"),
    tool("sample"),
    tool("roots"),
    tool("count"),
    resource("small://text"),
    resource("small://items/7"),
    prompt("greet", name="Ann"),
    prompt("greet"),
]


def small(package: str, version: str, *transports: str) -> Iterator[Published]:
    """The small server on one version of an SDK."""
    minor = tuple(int(each) for each in version.split(".")[:2])
    old = OLD if package == "mcp" and minor <= (1, 20) else ("mcp==1.12.4", *OLD) if (2, 3) <= minor <= (2, 10) else ()
    for transport in transports:
        yield Published(
            f"small, {package} {version}",
            f"Python, {'FastMCP' if package == 'fastmcp' else 'SDK'} {version}",
            (f"{package}=={version}", *old),
            ("python", "{here}/small.py", transport, "{port}"),
            transport,
            SMALL,
            # Of the versions that send `/mcp` to `/mcp/`, one is asked for the latter.
            path="/mcp/" if transport == "http" and package == "mcp" and minor == (1, 8) else "",
        )


TABLE: list[Published] = [
    *small("mcp", "1.6.0", "stdio", "sse"),
    *small("mcp", "1.8.1", "http", "sse"),
    *small("mcp", "1.9.4", "http"),
    *small("mcp", "1.10.1", "stdio"),
    *small("mcp", "1.12.4", "http", "sse"),
    *small("mcp", "1.14.1", "http"),
    *small("mcp", "1.16.0", "http"),
    *small("mcp", "1.19.0", "stdio"),
    *small("mcp", "1.22.0", "http"),
    *small("mcp", "1.25.0", "sse"),
    *small("mcp", "1.28.1", "http"),
    *small("mcp", "1.30.0", "stdio", "http", "sse"),
    *small("fastmcp", "2.3.5", "stdio"),
    *small("fastmcp", "2.10.6", "http", "sse"),
    *small("fastmcp", "2.14.7", "stdio", "http"),
    *small("fastmcp", "3.0.2", "http"),
    *small("fastmcp", "3.4.11", "stdio", "http"),
    Published(
        "mcp-server-time 2025.9.25",
        "Python, SDK 1.30.0",
        ("mcp-server-time==2025.9.25", "mcp==1.30.0"),
        ("mcp-server-time", "--local-timezone", "UTC"),
        calls=[
            tool("convert_time", source_timezone="UTC", time="12:30", target_timezone="Asia/Tokyo"),
            tool("convert_time", source_timezone="Nowhere", time="12:30", target_timezone="UTC"),
            tool("get_current_time", timezone="Europe/Berlin"),
            tool("get_current_time"),
        ],
        varies=DAYS,
    ),
    Published(
        "mcp-server-git 2025.9.25",
        "Python, SDK 1.22.0",
        ("mcp-server-git==2025.9.25", "mcp==1.22.0"),
        ("mcp-server-git", "--repository", "{work}"),
        calls=[
            tool("git_status", repo_path="{work}"),
            tool("git_diff_unstaged", repo_path="{work}"),
            tool("git_log", repo_path="{work}", max_count=1),
            tool("git_branch", repo_path="{work}", branch_type="local"),
            tool("git_show", repo_path="{work}", revision="nothing"),
        ],
        files={"file.txt": "one\n"},
        prepare=[
            ("git", "init", "-q", "-b", "main"),
            ("git", "add", "file.txt"),
            ("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "First"),
            ("sh", "-c", "echo two > file.txt"),
        ],
        varies=["[0-9a-f]{40}", r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*"],
    ),
    Published(
        "mcp-server-sqlite 2025.4.25",
        "Python, SDK 1.16.0",
        ("mcp-server-sqlite==2025.4.25", "mcp==1.16.0", *OLD),
        ("mcp-server-sqlite", "--db-path", "{work}/db"),
        calls=[
            tool("create_table", query="CREATE TABLE t (n INTEGER)"),
            tool("write_query", query="INSERT INTO t VALUES (1), (2)"),
            tool("read_query", query="SELECT n FROM t"),
            tool("read_query", query="SELECT * FROM nothing"),
            tool("read_query", query="DROP TABLE t"),
            tool("list_tables"),
            tool("append_insight", insight="two rows"),
            resource("memo://insights"),
            prompt("mcp-demo", topic="rows"),
        ],
    ),
    Published(
        "mcp-server-fetch 2025.4.7",
        "Python, SDK 1.12.4",
        ("mcp-server-fetch==2025.4.7", "mcp==1.12.4", "httpx<0.28", *OLD[:-1]),
        ("mcp-server-fetch", "--ignore-robots-txt"),
        calls=[
            tool("fetch", url="http://127.0.0.1:9/"),
            tool("fetch", url="not a URL"),
            prompt("fetch", url="http://127.0.0.1:9/"),
        ],
    ),
    Published(
        "mcp-server-duckdb 1.1.0",
        "Python, SDK 1.10.1",
        ("mcp-server-duckdb==1.1.0", "mcp==1.10.1", *OLD),
        ("mcp-server-duckdb", "--db-path", "{work}/db"),
        calls=[
            tool("query", query="CREATE TABLE t AS SELECT 1 AS n"),
            tool("query", query="SELECT n FROM t"),
            tool("query", query="SELECT"),
            prompt("duckdb-initial-prompt"),
        ],
    ),
    Published(
        "mcp-server-calculator 0.2.0",
        "Python, SDK 1.9.4",
        ("mcp-server-calculator==0.2.0", "mcp==1.9.4", *OLD),
        ("python", "-m", "mcp_server_calculator"),
        calls=[tool("calculate", expression=each) for each in ("2**10 / 3", "1/0", "(")],
    ),
    Published(
        "cli-mcp-server 0.2.5",
        "Python, SDK 1.11.0",
        ("cli-mcp-server==0.2.5", "mcp==1.11.0", *OLD),
        ("cli-mcp-server",),
        env={"ALLOWED_DIR": "{work}", "ALLOWED_COMMANDS": "ls,cat,pwd"},
        files={"file.txt": "one\n"},
        calls=[
            tool("run_command", command="cat file.txt"),
            tool("run_command", command="rm file.txt"),
            tool("show_security_rules"),
        ],
    ),
    Published(
        "mcp-shell-server 1.0.4",
        "Python, SDK 1.6.0",
        ("mcp-shell-server==1.0.4", "mcp==1.6.0", *OLD),
        ("mcp-shell-server",),
        env={"ALLOW_COMMANDS": "cat,ls"},
        files={"file.txt": "one\n"},
        calls=[
            tool("shell_execute", command=["cat", "file.txt"], directory="{work}"),
            tool("shell_execute", command=["cat"], stdin="in", directory="{work}"),
            tool("shell_execute", command=["rm", "file.txt"], directory="{work}"),
        ],
        varies=[r'execution_time\\*": [0-9.e-]+'],
    ),
    Published(
        "mcp-text-editor 1.0.2",
        "Python, SDK 1.14.1",
        ("mcp-text-editor==1.0.2", "mcp==1.14.1", *OLD),
        ("mcp-text-editor",),
        files={"file.txt": "one\ntwo\n"},
        calls=[
            tool("get_text_file_contents", files=[{"file_path": "{work}/file.txt", "ranges": [{"start": 1, "end": 1}]}]),
            tool("create_text_file", file_path="{work}/other.txt", contents="x\n"),
            tool("get_text_file_contents", files=[{"file_path": "{work}/nothing.txt", "ranges": [{"start": 1}]}]),
        ],
    ),
    Published(
        "mcp-alchemy 2025.8.15",
        "Python, SDK 1.25.0",
        ("mcp-alchemy==2025.8.15.91819", "mcp==1.25.0"),
        ("mcp-alchemy",),
        env={"DB_URL": "sqlite:///{work}/db"},
        calls=[
            tool("execute_query", query="CREATE TABLE t (n INTEGER)"),
            tool("all_table_names"),
            tool("schema_definitions", table_names=["t"]),
            tool("execute_query", query="SELECT nothing"),
        ],
    ),
    Published(
        "arxiv-mcp-server 0.3.1",
        "Python, SDK 1.19.0",
        ("arxiv-mcp-server==0.3.1", "pymupdf4llm==0.0.27", "mcp==1.19.0", *OLD),
        ("arxiv-mcp-server", "--storage-path", "{work}"),
        calls=[tool("list_papers"), tool("read_paper", paper_id="nothing"), prompt("deep-paper-analysis", paper_id="1")],
    ),
    *(
        Published(
            "excel-mcp-server 0.1.8",
            "Python, SDK 1.28.1",
            ("excel-mcp-server==0.1.8", "mcp==1.28.1"),
            ("excel-mcp-server", {"stdio": "stdio", "http": "streamable-http", "sse": "sse"}[transport]),
            transport,
            env={"FASTMCP_PORT": "{port}", "FASTMCP_HOST": "127.0.0.1", "EXCEL_FILES_PATH": "{work}"},
            calls=[
                tool("create_workbook", filepath=place),
                tool("write_data_to_excel", filepath=place, sheet_name="Sheet1", data=[["a", 1]]),
                tool("read_data_from_excel", filepath=place, sheet_name="Sheet1"),
                tool("read_data_from_excel", filepath="nothing.xlsx", sheet_name="Sheet1"),
                tool("get_workbook_metadata", filepath=place),
            ],
            varies=["'(size|modified)': [0-9.]+"],
        )
        for transport, place in (("stdio", "{work}/a.xlsx"), ("http", "a.xlsx"), ("sse", "a.xlsx"))
    ),
    *(
        Published(
            "mcp-neo4j-data-modeling 0.8.2",
            "Python, FastMCP 2",
            ("mcp-neo4j-data-modeling==0.8.2",),
            ("mcp-neo4j-data-modeling", "--transport", transport, "--server-host", "127.0.0.1", "--server-port", "{port}"),
            transport,
            path="/mcp/",
            calls=[
                tool("list_example_data_models"),
                tool("validate_node", node={"label": "A"}),
                tool("validate_node", node={"label": "A", "key_property": {"name": "id", "type": "STRING"}, "properties": []}),
                resource("resource://static/neo4j_data_ingest_process"),
                prompt("create_new_data_model", data_context="a", use_cases="b"),
                prompt("create_new_data_model", data_context="a"),
            ],
        )
        for transport in ("stdio", "http")
    ),
    *(
        Published(
            "markitdown-mcp 0.0.1a4",
            "Python, SDK 1.8.1",
            ("markitdown-mcp==0.0.1a4", "markitdown==0.1.3", *OLD),
            ("markitdown-mcp", *(() if transport == "stdio" else ("--http", "--host", "127.0.0.1", "--port", "{port}"))),
            transport,
            path="/mcp/" if transport == "http" else "/sse",
            calls=[
                tool("convert_to_markdown", uri="data:text/html;base64,PGgxPmE8L2gxPg=="),
                tool("convert_to_markdown", uri="nothing:x"),
                tool("convert_to_markdown", uri="file:///nothing"),
            ],
        )
        for transport in ("stdio", "http", "sse")
    ),
    *(
        Published(
            "mcp-proxy 0.13.0",
            "Python, SDK 1.30.0, before mcp-server-time",
            ("mcp-proxy==0.13.0", "mcp-server-time==2025.9.25", "mcp==1.30.0"),
            ("mcp-proxy", "--host", "127.0.0.1", "--port", "{port}", "--pass-environment", "--", "{bin}/mcp-server-time"),
            transport,
            calls=[tool("convert_time", source_timezone="UTC", time="12:30", target_timezone="Asia/Tokyo")],
            varies=DAYS,
        )
        for transport in ("http", "sse")
    ),
    *(
        Published(
            "mcp-grafana 2.1.1",
            "Go, Go SDK 1.8",
            ("mcp-grafana==2.1.1",),
            ("mcp-grafana", "-t", kind, *(() if kind == "stdio" else ("--address", "127.0.0.1:{port}"))),
            transport,
            env={"GRAFANA_URL": "http://127.0.0.1:9"},
            calls=[
                tool("list_datasources"),
                tool("search_dashboards", query="a"),
                tool("get_dashboard_by_uid"),
                tool("generate_deeplink", resourceType="dashboard", dashboardUid="a"),
            ],
            varies=["0x[0-9a-f]+"],
        )
        for transport, kind in (("stdio", "stdio"), ("http", "streamable-http"), ("sse", "sse"))
    ),
    *(
        Published(
            "toolbox-server 1.15.0",
            "Go, an MCP of its own",
            ("toolbox-server==1.15.0",),
            ("toolbox-server", "--config", "{work}/tools.yaml", *(("--stdio",) if transport == "stdio" else ("--port", "{port}"))),
            transport,
            path="/mcp/sse" if transport == "sse" else "/mcp",
            files={
                "tools.yaml": "sources: {db: {kind: sqlite, database: ':memory:'}}\n"
                "tools:\n  one: {kind: sqlite-sql, source: db, description: One, statement: 'SELECT 1 AS n'}\n"
                "  two: {kind: sqlite-sql, source: db, description: Two, statement: 'SELECT ? AS n',"
                " parameters: [{name: n, type: integer, description: N}]}\n"
            },
            calls=[tool("one"), tool("two", n=7), tool("two", n="x"), tool("two")],
        )
        for transport in ("stdio", "http", "sse")
    ),
    *(
        Published(
            "agent-lsp 0.23.5",
            "Go, Go SDK 1.4",
            ("agent-lsp==0.23.5",),
            ("agent-lsp", *(() if transport == "stdio" else ("--http", "--port", "{port}", "--no-auth"))),
            transport,
            path="/mcp",
            env={"PATH": "/usr/bin:/bin"},
            calls=[
                tool("detect_lsp_servers", workspace_dir="{work}"),
                tool("deactivate_skill"),
                tool("close_document", file_path="{work}/nothing.go"),
                tool("close_document"),
            ],
        )
        for transport in ("stdio", "http")
    ),
    Published(
        "scrybe-mcp-server 0.6.3",
        "Rust, an MCP of its own",
        ("scrybe-mcp-server==0.6.3",),
        ("scrybe-mcp-server", "stdio"),
        calls=[
            tool("lint", source="# A\n\n### B\n"),
            tool("render", source="*é*"),
            tool("read", path="{work}/nothing.md"),
            tool("lint"),
            tool("lint", source=1),
        ],
    ),
    Published(
        "dcc-mcp-server 0.20.49",
        "Rust, rmcp 1.7, before mcp-server-time",
        ("dcc-mcp-server==0.20.49", "mcp-server-time==2025.9.25", "mcp==1.30.0"),
        (
            *("dcc-mcp-server", "translate", "--stdio", "{bin}/mcp-server-time", "--port", "{port}"),
            *("--no-register", "--gateway-port", "0", "--registry-dir", "{work}"),
        ),
        "http",
        calls=[
            tool("convert_time", source_timezone="UTC", time="12:30", target_timezone="Asia/Tokyo"),
            tool("convert_time", source_timezone="Nowhere", time="12:30", target_timezone="UTC"),
        ],
        varies=DAYS,
    ),
    *(
        Published(
            "playwright 1.65.2",
            "Node, TypeScript SDK",
            ("playwright==1.65.2",),
            ("python", "{here}/wheel.py", "playwright", "driver/node", "driver/package/lib/entry/mcp.js", *arguments),
            transport,
            calls=[
                tool("browser_close"),
                tool("browser_tabs", action="list"),
                tool("browser_tabs", action="nothing"),
                tool("browser_navigate"),
            ],
        )
        for transport, arguments in (("stdio", ()), ("http", ("--port", "{port}")), ("sse", ("--port", "{port}")))
    ),
    *(
        Published(
            "officeagent-mcp 1.2.0",
            "C#, C# SDK",
            ("officeagent-mcp==1.2.0",),
            ("officeagent-mcp", *(("--stdio",) if transport == "stdio" else ())),
            transport,
            path="/",
            env={"ASPNETCORE_URLS": "http://127.0.0.1:{port}"},
            calls=[
                tool("list_connections"),
                tool("describe_capabilities"),
                tool("inspect_document", connectionId="session", documentId="nothing"),
                tool("inspect_document"),
            ],
        )
        for transport in ("stdio", "http")
    ),
]
