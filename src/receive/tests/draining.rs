//! Requests that come while the server ends: none that it could have read goes without its answer.

use super::*;

#[tokio::test]
async fn a_request_that_is_on_its_way_when_the_listener_closes_is_answered() {
    let server = Server::start(settings()).await;
    let request = head(&signature(b"{}"), 2) + "{}";
    let (begun, rest) = request.split_at(40);
    let (mut half, mut kept, mut late) =
        (server.connect().await, server.connect().await, server.connect().await);
    send(&mut half, ELSEWHERE).await;
    answer(&mut half).await;
    send(&mut half, begun).await;
    for stream in [&mut kept, &mut late] {
        send(stream, ELSEWHERE).await;
        answer(stream).await;
    }
    tokio::task::yield_now().await;
    // The server does not come to its turn again until the drain has begun: what is sent now is neither read nor even
    // accepted by then.
    let mut waiting = std::net::TcpStream::connect(server.address).expect("a place in the backlog");
    std::io::Write::write_all(&mut waiting, request.as_bytes()).expect("sent");
    waiting.set_nonblocking(true).expect("a socket");
    let mut waiting = TcpStream::from_std(waiting).expect("a socket");
    send(&mut kept, &request).await;
    server.shutdown.drain();

    for stream in [&mut waiting, &mut kept] {
        let (head, body) = answer(stream).await;
        // It came as far as the queue.
        assert!(body.contains("queue_unavailable") && head.contains("connection: close"), "{head}{body}");
        ends(stream).await;
    }
    // The listener is closed now. These two have a second from then on.
    send(&mut half, rest).await;
    send(&mut late, &request).await;
    assert!(TcpStream::connect(server.address).await.is_err());
    for stream in [&mut half, &mut late] {
        let (head, body) = answer(stream).await;
        assert!(body.contains("queue_unavailable") && head.contains("connection: close"), "{head}{body}");
        ends(stream).await;
    }
    timeout(PATIENCE, server.serving).await.expect("serving ends").expect("without a panic");
}

#[tokio::test]
async fn every_answer_of_a_drain_closes_its_connection() {
    let server = Server::start(ReceiveSettings { drain_delay: PATIENCE, ..settings() }).await;
    let mut kept = server.connect().await;
    send(&mut kept, ELSEWHERE).await;
    assert!(!answer(&mut kept).await.0.contains("connection: close"));
    server.shutdown.drain();
    while !server.health.is_draining() {
        tokio::task::yield_now().await;
    }

    let mut fresh = server.connect().await;
    // Takes the first one.
    server.does(Fault::Wavers);
    let signed = head(&signature(b"{}"), 2) + "{}";
    for (stream, request, status) in
        [(&mut kept, signed.as_str(), "http/1.1 200"), (&mut fresh, ELSEWHERE, "http/1.1 404")]
    {
        send(stream, request).await;

        let (head, _) = answer(stream).await;
        assert!(head.starts_with(status) && head.contains("connection: close"), "{head}");
        ends(stream).await;
    }
}
