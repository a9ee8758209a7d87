import Foundation
import HTTPServer
import Store

/// The pairing page as HTML: without scripts, and with nothing that comes from elsewhere.
enum PairingPage {
    /// - Parameter link: of the page's address, for the links in it. They are relative, so that they hold under any
    ///   path that a proxy puts before them.
    static func response(_ view: PairingView, _ locale: InstallationSettings.Locale, link: PairingLink?) -> HTTPResponse
    {
        HTTPResponse(
            status: view.status, headers: headers(locale), body: Array(html(view, locale, link: link).utf8))
    }

    /// After a form was sent: the page anew, so that loading it again sends nothing twice.
    static func redirect(to link: PairingLink) -> HTTPResponse {
        var headers = headers(.en)
        headers["Location"] = link.text
        return HTTPResponse(status: 303, headers: headers)
    }

    private static func headers(_ locale: InstallationSettings.Locale) -> [String: String] {
        [
            "Content-Type": "text/html; charset=utf-8",
            "Content-Language": language(locale),
            "Content-Security-Policy": policy,
            // The address is the secret.
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "X-Robots-Tag": "noindex, nofollow",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        ]
    }

    private static let policy =
        "default-src 'none'; style-src 'sha256-\(Data(SecretHash(of: Array(style.utf8)).bytes).base64EncodedString())'; "
        + "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

    private static func language(_ locale: InstallationSettings.Locale) -> String {
        switch locale {
        case .en: "en"
        case .zh: "zh-CN"
        }
    }

    private static func html(
        _ view: PairingView, _ locale: InstallationSettings.Locale, link: PairingLink?
    ) -> String {
        let text = PairingText.text(view, locale)
        var refresh = ""
        if case .waiting = view { refresh = #"<meta http-equiv="refresh" content="5">"# + "\n" }
        return """
            <!DOCTYPE html>
            <html lang="\(language(locale))">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            \(refresh)<link rel="icon" href="data:,">
            <title>\(escaped(text.title))</title>
            <style>\(style)</style>
            </head>
            <body>
            <main>
            <h1>\(escaped(text.title))</h1>
            \(text.paragraphs.map { "<p>\(escaped($0))</p>" }.joined(separator: "\n"))
            \(parts(of: view, text, locale, link: link))
            </main>
            </body>
            </html>

            """
    }

    private static func parts(
        of view: PairingView, _ text: PairingText, _ locale: InstallationSettings.Locale, link: PairingLink?
    ) -> String {
        guard let link else { return "" }
        let words = PairingText.form(locale)
        switch view {
        case .form:
            let problem = text.problem.map { #"<p id="problem" role="alert">\#(escaped($0))</p>"# + "\n" } ?? ""
            let described = text.problem == nil ? "" : #" aria-invalid="true" aria-describedby="problem""#
            return """
                \(problem)<form method="post" action="\(link.text)">
                <label for="code">\(escaped(words.label))</label>
                <input id="code" name="code" required maxlength="40" autocomplete="off" autocapitalize="characters"
                spellcheck="false" autofocus\(described)>
                <button type="submit">\(escaped(words.button))</button>
                </form>
                <p><a href="\(link.text)/wait">\(escaped(words.wait))</a></p>
                """
        case .waiting(_, let code):
            return """
                <p id="approval">\(escaped(code))</p>
                <p><a href="../\(link.text)">\(escaped(words.back))</a></p>
                """
        case .done, .ended: return ""
        }
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;").replacing("'", with: "&#39;")
    }

    private static let style = """
        :root{color-scheme:light dark}
        body{margin:0;font:1rem/1.5 system-ui,sans-serif}
        main{max-width:30rem;margin:0 auto;padding:1.5rem 1rem;overflow-wrap:anywhere}
        h1{font-size:1.4rem;line-height:1.25}
        label{display:block;font-weight:600}
        input,button{box-sizing:border-box;width:100%;min-height:3rem;font:inherit;border-radius:.5rem;border:1px solid #8888}
        input{margin:.25rem 0 .75rem;padding:0 .75rem;font-size:1.25rem;letter-spacing:.1em;text-transform:uppercase}
        button{background:#245bdb;color:#fff;font-weight:600}
        #problem{border-left:.25rem solid #d83931;padding-left:.75rem}
        #approval{font-size:1.75rem;font-weight:700;letter-spacing:.1em}
        """
}
