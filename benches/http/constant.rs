//! The server of `examples/token_server` with nothing behind it: every request gets the same octets, at `/read` once its body
//! was read, elsewhere unread.

#[path = "../../examples/token_server/http1.rs"]
mod http1;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use axum::routing::post;
use std::io::{Error, Write};
use std::net::{SocketAddr, TcpListener};

/// As long as an answer of `token_server`.
const BODY: &str = r#"{"access_token":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","token_type":"Bearer","expires_in":3599,"scope":"write"}"#;
const HEADERS: [(axum::http::HeaderName, &str); 3] =
    [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")];

fn main() -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on http://{}", listener.local_addr()?)?;
    stdout.flush()?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let read = post(|_: Bytes| async { (HEADERS, BODY) });
        let router = Router::new().route("/read", read).fallback(|| async { (HEADERS, BODY) });
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        http1::server(listener, axum_server::Handle::new())?.serve(service).await
    })
}
