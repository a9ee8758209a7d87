// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "lark-gateway",
    products: [
        .executable(name: "lark-gateway", targets: ["lark-gateway"]),
        .executable(name: "gateway-benchmark", targets: ["gateway-benchmark"]),
        .library(name: "FuzzTargets", type: .static, targets: ["FuzzTargets"]),
    ],
    targets: [
        // System libraries: module maps and shims, nothing else.
        .systemLibrary(name: "CLibpq", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CLibcurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CLibsodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "CLibmicrohttpd", pkgConfig: "libmicrohttpd", providers: [.apt(["libmicrohttpd-dev"])]),

        .systemLibrary(name: "CJansson", pkgConfig: "jansson", providers: [.apt(["libjansson-dev"])]),
        .systemLibrary(name: "CEpoll"),

        // What happens between fork and exec, where no Swift may run.
        .target(name: "CContainment"),
        // What waits: deadlines, readiness of descriptors, timers, backoff, child processes.
        .target(name: "AsyncRuntime", dependencies: ["CContainment", "CEpoll"]),
        .target(name: "Postgres", dependencies: ["AsyncRuntime", "CLibpq"]),
        // libcurl: sockets with TLS and proxies for the WebSocket, and HTTP.
        .target(name: "Curl", dependencies: ["AsyncRuntime", "CLibcurl"]),
        .target(name: "WebSocket", dependencies: ["AsyncRuntime", "Curl"]),
        .target(name: "HTTPServer", dependencies: ["AsyncRuntime", "CLibmicrohttpd"]),
        .target(name: "Lark", dependencies: ["AsyncRuntime", "Curl", "WebSocket", "CJansson"]),
        // What a person reads on a terminal, or in the log.
        .target(name: "Output"),
        // The database: its schema, and the repository with one method for each statement.
        .target(
            name: "Store", dependencies: ["AsyncRuntime", "Lark", "Postgres", "CLibsodium"],
            resources: [.embedInCode("SQL")]),
        .target(
            name: "Gateway",
            dependencies: ["AsyncRuntime", "Curl", "HTTPServer", "Lark", "Output", "Postgres", "Store", "CLibsodium"]),
        // What runs an agent's command for each task: a process of its own, beside the gateway.
        .target(name: "Worker", dependencies: ["AsyncRuntime", "Gateway", "Lark", "Output", "Postgres", "Store"]),
        .target(name: "LarkSimulator", dependencies: ["AsyncRuntime", "HTTPServer", "Lark", "WebSocket"]),
        .target(
            name: "Configuration",
            dependencies: ["AsyncRuntime", "Curl", "Gateway", "Lark", "Output", "Store", "WebSocket"]),
        .executableTarget(
            name: "lark-gateway",
            dependencies: [
                "AsyncRuntime", "Configuration", "Curl", "Gateway", "HTTPServer", "Lark", "LarkSimulator", "Output",
                "Postgres", "Store", "WebSocket", "Worker",
            ]),

        // The client of an outside conformance suite for RFC 6455.
        .executableTarget(name: "websocket-conformance", dependencies: ["AsyncRuntime", "WebSocket"]),

        // What libFuzzer calls, and what the tests repeat with what it found (scripts/fuzz).
        .target(
            name: "FuzzTargets",
            dependencies: ["Configuration", "Gateway", "HTTPServer", "Lark", "Output", "Store", "WebSocket"]),

        // Counts the process's allocations, for the benchmark alone.
        .target(name: "CAllocationCount"),
        .executableTarget(
            name: "gateway-benchmark",
            dependencies: [
                "AsyncRuntime", "CAllocationCount", "Curl", "Gateway", "HTTPServer", "Lark", "LarkSimulator",
                "Postgres", "Store", "WebSocket",
            ]),

        .target(
            name: "TestSupport", dependencies: ["AsyncRuntime", "Gateway", "Postgres", "Store"],
            path: "Tests/TestSupport",
            exclude: ["Fixtures"]),
        .testTarget(name: "AsyncRuntimeTests", dependencies: ["AsyncRuntime", "TestSupport"]),
        .testTarget(name: "PostgresTests", dependencies: ["AsyncRuntime", "Postgres", "TestSupport"]),
        .testTarget(name: "CurlTests", dependencies: ["AsyncRuntime", "Curl", "HTTPServer", "TestSupport"]),
        .testTarget(
            name: "WebSocketTests", dependencies: ["AsyncRuntime", "Curl", "HTTPServer", "WebSocket", "TestSupport"]),
        .testTarget(
            name: "HTTPServerTests", dependencies: ["AsyncRuntime", "Curl", "HTTPServer", "TestSupport"]),
        .testTarget(
            name: "LarkTests", dependencies: ["Curl", "Lark", "LarkSimulator", "AsyncRuntime", "TestSupport"],
            exclude: ["Fixtures"]),
        .testTarget(
            name: "GatewayTests",
            dependencies: [
                "AsyncRuntime", "Curl", "Gateway", "HTTPServer", "Lark", "LarkSimulator", "Postgres", "Store",
                "TestSupport",
            ], exclude: ["Fixtures"]),
        .testTarget(name: "WorkerTests", dependencies: ["Postgres", "TestSupport", "Worker"]),
        .testTarget(name: "FuzzTargetsTests", dependencies: ["FuzzTargets"], exclude: ["Corpus", "Regressions"]),
        .testTarget(
            name: "LarkGatewayTests",
            dependencies: [
                "Configuration", "Gateway", "Lark", "lark-gateway", "Output", "Postgres", "Store", "TestSupport",
                "WebSocket",
            ]),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "Curl", "Gateway", "gateway-benchmark", "HTTPServer", "Lark", "lark-gateway", "LarkSimulator", "Output",
                "Postgres", "Store", "TestSupport",
            ], exclude: ["Upgrade/previous"]),
    ],
    swiftLanguageModes: [.v6]
)
