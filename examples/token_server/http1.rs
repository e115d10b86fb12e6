//! The HTTP/1.1 server below the endpoints, with its limits; `benches/http` also measures it alone.

use axum_server::{Handle, Server};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// Octets of a request line's target, at most.
pub(crate) const MAX_TARGET: usize = 8 * 1024;
/// Octets of all header fields, at most.
pub(crate) const MAX_HEADERS: usize = 32 * 1024;
/// Time for the head of a request, and for its body.
pub(crate) const SLOW: Duration = Duration::from_secs(10);

/// HTTP/1.1 alone on `listener`: the limits are its limits.
pub(crate) fn server(listener: TcpListener, handle: Handle<SocketAddr>) -> std::io::Result<Server<SocketAddr>> {
    listener.set_nonblocking(true)?;
    let mut server = axum_server::from_tcp(listener)?.handle(handle).http1_only();
    let http1 = &mut server.http_builder().http1();
    http1
        .timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(SLOW)
        .max_buf_size(MAX_TARGET + MAX_HEADERS + 4096);
    Ok(server)
}
