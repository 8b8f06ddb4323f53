//! The bytes of a connection to the web page, on a pipe in memory.

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::Builder;

use crate::Bounds;

/// The most bytes of the responses that are read.
const MAX_RESPONSE: u64 = 1 << 20;

pub fn run(bytes: &[u8]) {
    // Timeouts pass at once.
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = runtime.expect("a runtime can be created");
    Bounds::TEXT.check(|| {
        let response = runtime.block_on(exchange(bytes));
        assert!(
            response.is_empty() || response.starts_with(b"HTTP/1."),
            "it is HTTP"
        );
    });
}

/// What is answered to these bytes, after which the client sends no more.
async fn exchange(bytes: &[u8]) -> Vec<u8> {
    let (client, server) = duplex(4096);
    let server = tokio::spawn(boxcam::sink::web::serve_connection(server));
    let (reader, mut writer) = tokio::io::split(client);
    let mut response = Vec::new();
    let send = async {
        // The server may close the connection before it has read everything.
        let _ = writer.write_all(bytes).await;
        let _ = writer.shutdown().await;
    };
    let mut reader = reader.take(MAX_RESPONSE);
    let (_, read) = tokio::join!(send, reader.read_to_end(&mut response));
    drop((writer, reader));
    let _ = read;
    server.await.expect("the server does not panic");
    response
}
