//! NSX-V: the service monitor of its guide made in both ways, and the documents of jobs.

use super::vendors::nsx_v::NsxV;
use super::vendors::{Ending, Kind, Model, Pace, Twist, When};
use super::{Answer, basic, call, text, until};

const MONITORS: &str = "/api/4.0/edges/edge-4/loadbalancer/config/monitors";
const MONITOR: &str = "<monitor><type>http</type><interval>5</interval></monitor>";
const RUNNING: &str = "<edgeJob>
  <jobId>jobdata-2128</jobId>
  <message>Deploying vShield Edge Virtual Machine TestEdge11-0</message>
  <status>RUNNING</status>
  <result><key>ResultURI</key><value>/api/4.0/edges/edge-4</value></result>
  <result><key>edgeId</key><value>edge-4</value></result>
</edgeJob>";
const COMPLETED: &str = "<edgeJobs><edgeJob><jobId>jobdata-917</jobId><status>COMPLETED</status><result><key>edgeId</key><value>edge-4</value></result></edgeJob></edgeJobs>";

async fn get(nsx: &Model<NsxV>, path: &str) -> Answer {
    call(nsx.address, &format!("GET {path}"), &basic("admin"), "").await
}

async fn change(nsx: &Model<NsxV>, line: &str) -> Answer {
    call(nsx.address, line, &basic("admin"), MONITOR).await
}

#[tokio::test]
async fn a_service_monitor_is_made_while_its_caller_waits() {
    let nsx = NsxV::start(Pace::ByHand).await;
    let address = nsx.address;
    let line = format!("POST {MONITORS}");
    let asked = tokio::spawn(async move { call(address, &line, &basic("admin"), MONITOR).await });
    until("it is being made", || nsx.books.now("blocking") == 1).await;
    assert!(!asked.is_finished());
    nsx.works.finish_all();
    let made = asked.await.unwrap();
    let place = format!("{MONITORS}/monitor-4");
    assert_eq!(
        made.head,
        format!("HTTP/1.1 201 Created\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n")
    );
    assert_eq!(get(&nsx, &place).await.status, 200);
    assert_eq!(nsx.books.effects(&format!("POST {MONITORS}")), 1);
    assert_eq!(nsx.books.count(Kind::Blocking), 1);
    let jobs = get(&nsx, "/api/4.0/edges/jobs?status=all").await;
    assert_eq!(
        text(&jobs),
        "<edgeJobs></edgeJobs>",
        "a call that blocks is no job"
    );
}

#[tokio::test]
async fn a_service_monitor_is_made_by_a_job() {
    let nsx = NsxV::start(Pace::ByHand).await;
    let started = change(&nsx, &format!("POST {MONITORS}?async=true")).await;
    assert_eq!(
        started.head,
        "HTTP/1.1 202 Accepted\r\nLocation: /api/4.0/edges/jobs/jobdata-2128\r\njobId: jobdata-2128\r\n\
         Content-Length: 0\r\n\r\n"
    );
    assert_eq!(
        get(&nsx, &format!("{MONITORS}/monitor-4")).await.status,
        404
    );
    nsx.works.finish_all();
    let job = text(&get(&nsx, "/api/4.0/edges/jobs/jobdata-2128").await);
    assert!(job.contains("<status>COMPLETED</status>"), "{job}");
    assert!(
        job.contains(&format!("<value>{MONITORS}/monitor-4</value>")),
        "{job}"
    );
    assert_eq!(
        get(&nsx, &format!("{MONITORS}/monitor-4")).await.status,
        200
    );
    assert_eq!(nsx.books.count(Kind::Start), 1);
    assert_eq!(nsx.books.count(Kind::Poll), 1);
    assert_eq!(nsx.books.count(Kind::Probe), 2);
}

#[tokio::test]
async fn jobs_are_told_in_the_documents_of_the_guide() {
    let nsx = NsxV::start(Pace::ByHand).await;
    change(&nsx, "POST /api/4.0/edges?async=true").await;
    let queued = text(&get(&nsx, "/api/4.0/edges/jobs/jobdata-2128").await);
    assert_eq!(queued, RUNNING.replace("RUNNING", "QUEUED"));
    nsx.works.step();
    let running = get(&nsx, "/api/4.0/edges/jobs/jobdata-2128").await;
    assert_eq!(running.header("content-type"), Some("application/xml"));
    assert_eq!(text(&running), RUNNING);
    nsx.works.step();
    let all = text(&get(&nsx, "/api/4.0/edges/jobs?status=all").await);
    assert_eq!(all, COMPLETED.replace("917", "2128"));
    let active = text(&get(&nsx, "/api/4.0/edges/jobs?status=active").await);
    assert_eq!(active, "<edgeJobs></edgeJobs>");
    assert_eq!(nsx.books.count(Kind::BatchPoll), 2);
    nsx.success_word("SUCCESS");
    nsx.full_lists(true);
    let all = text(&get(&nsx, "/api/4.0/edges/jobs?status=all").await);
    assert!(all.contains("<status>SUCCESS</status>") && all.contains("ResultURI"));
    assert_eq!(
        get(&nsx, "/api/4.0/edges/jobs?status=some").await.status,
        400
    );
}

#[tokio::test]
async fn jobs_fail_and_are_rolled_back() {
    let nsx = NsxV::start(Pace::ByHand).await;
    nsx.works
        .twist(When::Nth(1), Twist::fails("10500", "No <host>"));
    nsx.works
        .twist(When::Nth(2), Twist::Ends(Ending::RolledBack));
    for _ in 0..2 {
        change(&nsx, "POST /api/4.0/edges?async=true").await;
    }
    nsx.works.finish_all();
    let failed = text(&get(&nsx, "/api/4.0/edges/jobs/jobdata-2128").await);
    assert!(
        failed.contains("<message>No &lt;host></message>\n  <status>FAILED</status>"),
        "{failed}"
    );
    let back = text(&get(&nsx, "/api/4.0/edges/jobs/jobdata-2129").await);
    assert!(back.contains("<status>ROLLBACK</status>") && !back.contains("edgeId"));
    assert!(nsx.books.all_effects().is_empty());
    let lost = get(&nsx, "/api/4.0/edges/jobs/jobdata-1").await;
    assert_eq!(lost.status, 404);
    assert!(text(&lost).starts_with("<error><details>"));
}

#[tokio::test]
async fn an_older_manager_knows_no_async_and_another_names_no_job() {
    let nsx = NsxV::start(Pace::Lasts(std::time::Duration::ZERO)).await;
    nsx.job_field(false);
    let started = change(&nsx, "POST /api/4.0/edges?async=true").await;
    assert_eq!((started.status, started.header("jobid")), (202, None));
    nsx.native(false);
    let made = change(&nsx, "POST /api/4.0/edges?async=true").await;
    assert_eq!(
        (made.status, made.header("location")),
        (201, Some("/api/4.0/edges/edge-5"))
    );
    assert_eq!(change(&nsx, "PUT /api/4.0/edges/edge-5").await.status, 204);
    assert_eq!(
        change(&nsx, "DELETE /api/4.0/edges/edge-5").await.status,
        204
    );
    assert!(!nsx.is_there("/api/4.0/edges/edge-5"));
    assert_eq!(
        change(&nsx, "DELETE /api/4.0/edges/edge-5").await.status,
        404
    );
    assert_eq!(nsx.books.effects("DELETE /api/4.0/edges/edge-5"), 1);
    let stranger = call(nsx.address, "GET /api/4.0/edges/jobs?status=all", "", "").await;
    assert_eq!(stranger.status, 401);
}
