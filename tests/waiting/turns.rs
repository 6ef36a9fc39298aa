//! Who goes first.

use crate::rig::{LONG, Rig, get, seats};
use crate::support::client::Client;
use crate::support::until;

/// Lets one call after the other have the only seat; what the upstream saw, in order.
async fn one_by_one(rig: &mut Rig, clients: &mut [Client]) -> Vec<String> {
    for done in 0..clients.len() {
        rig.origin.release();
        until("the next has its turn", || rig.asked().len() == done + 1).await;
        assert_eq!(rig.origin.seen.most_running(), 1);
    }
    rig.let_go().await;
    for client in clients {
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    rig.all_back().await;
    let asked = rig.asked().into_iter();
    asked
        .map(|target| target.split("n=").nth(1).unwrap_or(&target).to_owned())
        .collect()
}

#[tokio::test]
async fn calls_of_one_user_have_their_turns_in_the_order_they_came() {
    let mut rig = Rig::start(&seats(1, LONG)).await;
    rig.fill().await;
    let mut clients = Vec::new();
    for n in 0..10 {
        let request = get(&format!("/api/x?hold&n={n}"), "10.0.0.1");
        clients.push(rig.stand(request).await);
    }
    let order = one_by_one(&mut rig, &mut clients).await;
    let came: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(order, came);
    assert_eq!(rig.row("calls").refused, [0; 4]);
}

#[tokio::test]
async fn users_take_turns_so_that_one_with_many_calls_delays_nobody() {
    let mut rig = Rig::start(&seats(1, LONG)).await;
    rig.fill().await;
    let mut clients = Vec::new();
    for (user, calls) in [("a", 5), ("b", 2), ("c", 1)] {
        for n in 0..calls {
            let address = format!("10.0.0.{}", user.as_bytes()[0]);
            let request = get(&format!("/api/x?hold&n={user}{n}"), &address);
            clients.push(rig.stand(request).await);
        }
    }
    let order = one_by_one(&mut rig, &mut clients).await;
    assert_eq!(order, ["a0", "b0", "c0", "a1", "b1", "a2", "a3", "a4"]);
}

#[tokio::test]
async fn logouts_and_task_polls_stand_first() {
    let routes = "[[upstream.route]]\nname = \"out\"\nmatch = { path = \"/api/out\" }\nclass = \"logout\"\n\
                  [[upstream.route]]\nname = \"poll\"\nmatch = { path = \"/api/task\" }\nclass = \"task\"\n";
    let mut rig = Rig::start(&(seats(1, LONG) + routes)).await;
    rig.fill().await;
    let mut clients = Vec::new();
    for path in [
        "x?hold&n=x0",
        "x?hold&n=x1",
        "out?hold&n=out",
        "task?hold&n=task",
    ] {
        clients.push(rig.stand(get(&format!("/api/{path}"), "10.0.0.1")).await);
    }
    let order = one_by_one(&mut rig, &mut clients).await;
    assert_eq!(order, ["out", "task", "x0", "x1"]);
}

#[tokio::test]
async fn who_comes_by_never_passes_who_waits() {
    let mut rig = Rig::start(&seats(1, LONG)).await;
    rig.fill().await;
    let mut first = rig.stand(get("/api/x?hold&n=first", "10.0.0.1")).await;
    // Newcomers without end, on connections that are open already.
    let address = rig.gate.http()[0];
    let crowd: Vec<_> = (0..8)
        .map(|user| {
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                for _ in 0..50 {
                    client
                        .send(get("/api/x?n=crowd", &format!("10.0.1.{user}")))
                        .await;
                    assert_eq!(client.answer().await.unwrap().status, 200);
                }
            })
        })
        .collect();
    until("the crowd waits", || rig.waiting() > 4).await;
    rig.let_go().await;
    until("the first has its turn", || !rig.asked().is_empty()).await;
    assert_eq!(rig.asked()[0], "/api/x?hold&n=first");
    rig.origin.release();
    assert_eq!(first.answer().await.unwrap().status, 200);
    for one in crowd {
        one.await.unwrap();
    }
    assert_eq!(rig.origin.seen.most_running(), 1);
    rig.all_back().await;
}

#[tokio::test]
async fn a_call_waits_for_each_limit_of_its_own_and_holds_no_other_meanwhile() {
    let each =
        "[upstream.limits.each]\ncounts = \"requests_in_flight\"\nkey = \"address\"\nlimit = 1\n";
    let limits = format!("{}{each}wait = {{ {LONG} }}\n", seats(2, LONG));
    let rig = Rig::start(&limits).await;
    let mut busy = rig.client().await;
    busy.send(get("/api/x?hold&n=busy", "10.0.0.1")).await;
    until("it runs", || rig.origin.seen.running() == 1).await;
    let mut second = rig.client().await;
    second.send(get("/api/x?n=second", "10.0.0.1")).await;
    until("the second call of one user waits", || {
        rig.row("each").waiting == 1
    })
    .await;
    assert_eq!(
        rig.row("calls").in_use,
        1,
        "who waits holds no seat of others"
    );
    let mut other = rig.client().await;
    other.send(get("/api/x?n=other", "10.0.0.2")).await;
    assert_eq!(other.answer().await.unwrap().status, 200);
    rig.origin.release();
    assert_eq!(busy.answer().await.unwrap().status, 200);
    assert_eq!(second.answer().await.unwrap().status, 200);
    rig.all_back().await;
}

#[tokio::test]
async fn a_seat_whose_call_fails_upstream_goes_to_the_next() {
    let mut rig = Rig::start(&seats(1, LONG)).await;
    let mut failing = rig.client().await;
    failing
        .send(get("/api/x?sleep=300&close", "10.0.0.1"))
        .await;
    until("it runs", || rig.origin.seen.running() == 1).await;
    let mut next = rig.stand(get("/api/x?n=next", "10.0.0.2")).await;
    assert_eq!(failing.answer().await.unwrap().status, 502);
    assert_eq!(next.answer().await.unwrap().status, 200);
    rig.let_go().await;
    rig.all_back().await;
}
