// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "lark-gateway",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "lark-gateway", targets: ["lark-gateway"]),
        .executable(name: "gateway-benchmark", targets: ["gateway-benchmark"]),
    ],
    targets: [
        // System libraries: module maps and shims, nothing else.
        .systemLibrary(name: "CLibpq", pkgConfig: "libpq", providers: [.apt(["libpq-dev"]), .brew(["libpq"])]),
        .systemLibrary(
            name: "CLibcurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"]), .brew(["curl"])]),
        .systemLibrary(
            name: "CLibsodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"]), .brew(["libsodium"])]),
        .systemLibrary(
            name: "CLibmicrohttpd", pkgConfig: "libmicrohttpd",
            providers: [.apt(["libmicrohttpd-dev"]), .brew(["libmicrohttpd"])]),

        .systemLibrary(
            name: "CJansson", pkgConfig: "jansson", providers: [.apt(["libjansson-dev"]), .brew(["jansson"])]),
        .systemLibrary(name: "CEpoll"),

        // What waits: deadlines, readiness of descriptors, timers, backoff, child processes.
        .target(name: "AsyncRuntime", dependencies: ["CEpoll"]),
        .target(name: "Postgres", dependencies: ["AsyncRuntime", "CLibpq"]),
        .target(name: "WebSocket", dependencies: ["AsyncRuntime", "CLibcurl"]),
        .target(name: "HTTPServer", dependencies: ["AsyncRuntime", "CLibmicrohttpd"]),
        .target(name: "Lark", dependencies: ["AsyncRuntime", "WebSocket", "CJansson"]),
        .target(
            name: "Gateway", dependencies: ["AsyncRuntime", "Lark", "Postgres", "CLibsodium"],
            resources: [.embedInCode("SQL")]),
        .target(name: "LarkSimulator", dependencies: ["AsyncRuntime", "HTTPServer", "Lark", "WebSocket"]),
        .executableTarget(
            name: "lark-gateway",
            dependencies: ["AsyncRuntime", "Gateway", "HTTPServer", "Lark", "LarkSimulator", "Postgres", "WebSocket"]),

        // Counts the process's allocations, for the benchmark alone.
        .target(name: "CAllocationCount"),
        .executableTarget(
            name: "gateway-benchmark",
            dependencies: [
                "AsyncRuntime", "CAllocationCount", "Gateway", "Lark", "LarkSimulator", "Postgres", "WebSocket",
            ]),

        .target(name: "TestSupport", dependencies: ["AsyncRuntime", "Gateway", "Postgres"], path: "Tests/TestSupport"),
        .testTarget(name: "AsyncRuntimeTests", dependencies: ["AsyncRuntime", "TestSupport"]),
        .testTarget(name: "PostgresTests", dependencies: ["AsyncRuntime", "Postgres", "TestSupport"]),
        .testTarget(name: "WebSocketTests", dependencies: ["AsyncRuntime", "HTTPServer", "WebSocket"]),
        .testTarget(
            name: "HTTPServerTests", dependencies: ["AsyncRuntime", "HTTPServer", "Lark", "TestSupport"]),
        .testTarget(
            name: "LarkTests", dependencies: ["Lark", "LarkSimulator", "AsyncRuntime"], exclude: ["Fixtures"]),
        .testTarget(
            name: "GatewayTests", dependencies: ["AsyncRuntime", "Gateway", "Lark", "Postgres", "TestSupport"]),
        .testTarget(name: "LarkGatewayTests", dependencies: ["lark-gateway", "Gateway", "TestSupport"]),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "lark-gateway", "gateway-benchmark", "Gateway", "Lark", "LarkSimulator", "Postgres", "TestSupport",
            ]),
    ],
    swiftLanguageModes: [.v6]
)
