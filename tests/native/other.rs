//! Another dialect: NSX-V's jobs, in XML, named by a field of the head.

use std::time::Duration;

use tidegate::task::{Mode, State};

use crate::rig::{Call, Kept, Rig};
use crate::vendors::nsx_v::NsxV;
use crate::vendors::{Kind, Pace};

const MONITORS: &str = "/api/4.0/edges/edge-4/loadbalancer/config/monitors";
const MONITOR: &str = "<monitor><type>http</type><interval>5</interval></monitor>";

#[tokio::test]
async fn a_service_monitor_is_made_by_a_job_and_told_as_if_its_call_had_blocked() {
    let nsx = NsxV::start(Pace::Lasts(Duration::from_millis(300))).await;
    nsx.full_lists(true);
    let rig = Rig::start(nsx.address, "nsx-v", "", &Kept::default()).await;
    let call = Call::new("POST", MONITORS, "edge-post", MONITOR);
    let id = rig.submit(&call).await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.mode),
        (State::Completed, Mode::Native),
        "{task:?}"
    );
    assert_eq!(
        nsx.books.targets(Kind::Start),
        [format!("POST {MONITORS}?async=true")]
    );
    let answer = rig.answer(id).await;
    assert_eq!(answer.status, 201);
    let location = answer.headers.iter();
    let location = location
        .filter(|(name, _)| name == "location")
        .map(|(_, value)| String::from_utf8(value.to_vec()).unwrap());
    let location: Vec<_> = location.collect();
    assert_eq!(location, [format!("{MONITORS}/monitor-4")]);
    assert_eq!(nsx.books.effects(&format!("POST {MONITORS}")), 1);
    assert_eq!(nsx.books.most("blocking"), 0);
    rig.stop().await;
}
