//! Which system works in which form and direction, and by which test that is shown.
//!
//! Directions: `blocks/async`, a client blocks on what its upstream does behind its answer; `async/blocks`, a client asks for a task
//! of what blocks upstream; `async/async`, a client asks for a task, and the upstream's own does it; `passes`, the gate leaves it as it
//! is. Forms: `native`, the upstream's own asynchronous one; `queued`, the gate's, of calls that block; `busy`, a resource that is asked
//! before, and after where the gate waits for the change; `merged`, patches that the gate gathers. A row without a test says why.
//!
//! | system | direction | form | test |
//! |---|---|---|---|
//! | vCenter REST, /api | blocks/async | native | facade::clones::two_hundred_clones_that_block_run_where_ten_are_borne |
//! | vCenter REST, /api | blocks/async | native | facade::fire::two_hundred_clones_that_block_are_answered_under_fire |
//! | vCenter REST, /api | async/blocks | queued | tasks::many::five_hundred_clones_in_five_seconds_all_finish_ten_at_a_time |
//! | vCenter REST, /api | async/blocks | queued | facade::vcenter_face::a_task_is_begun_polled_and_over_in_the_vendor_s_words |
//! | vCenter REST, /api | async/async | native | native::runs::a_clone_is_the_upstream_s_own_task_and_ends_as_if_it_had_blocked |
//! | vCenter REST, /api | async/async | native | native::kills::killed_at_random_moments_while_native_tasks_run |
//! | vCenter REST, /api | passes | native | facade::off::what_is_signed_has_another_form_or_asks_for_a_task_is_left_as_it_is |
//! | vCenter REST, /rest | blocks/async | native | systems::older_rest::a_rest_clone_that_blocks_is_done_by_vcenter_s_own_task |
//! | vCenter REST, /rest | async/blocks | queued | systems::older_rest::a_rest_clone_gets_a_task_in_vcenter_s_words_where_vcenter_has_none |
//! | vCenter REST, /rest | async/async | native | systems::older_rest::a_rest_clone_that_is_asked_for_as_a_task_follows_vcenter_s_own |
//! | vCenter REST, /rest | passes | native | systems::older_rest::a_rest_clone_that_asks_for_a_task_itself_is_vcenter_s_affair |
//! | vCenter JSON-RPC | blocks/async | – | its `clone$task` is another operation, with another answer |
//! | vCenter JSON-RPC | async/blocks | queued | convert::owners::a_call_whose_operation_stands_in_its_body_becomes_a_task_too |
//! | vCenter JSON-RPC | async/async | – | its `clone$task` is another operation, with another answer |
//! | vCenter JSON-RPC | passes | queued | sessions::blocking::eleven_blocking_clones_of_several_users_in_all_forms_exactly_one_is_refused |
//! | vCenter SOAP | blocks/async | – | its methods answer with a task by themselves |
//! | vCenter SOAP | async/blocks | – | none of its methods blocks |
//! | vCenter SOAP | async/async | – | its clients follow its tasks themselves |
//! | vCenter SOAP | passes | native | systems::sdk::soap_task_methods_pass_as_they_are_and_do_not_count_as_blocking |
//! | vCenter VI-JSON | blocks/async | – | its methods answer with a task by themselves |
//! | vCenter VI-JSON | async/blocks | – | none of its methods blocks |
//! | vCenter VI-JSON | async/async | – | its clients follow its tasks themselves |
//! | vCenter VI-JSON | passes | native | systems::sdk::vi_json_task_methods_pass_as_they_are_and_do_not_count_as_blocking |
//! | NSX-V | blocks/async | native | systems::seed_monitor::a_service_monitor_in_sync_mode_is_answered_201_created |
//! | NSX-V | async/blocks | queued | facade::nsx_v_face::a_job_is_begun_polled_and_over_in_the_vendor_s_words |
//! | NSX-V | async/async | native | native::other::a_service_monitor_is_made_by_a_job_and_told_as_if_its_call_had_blocked |
//! | NSX-V | async/async | native | native::kills::killed_at_random_moments_while_native_tasks_run |
//! | NSX-V | passes | native | systems::seed_monitor::the_async_job_s_status_is_queried_by_its_id_and_in_lists |
//! | NSX-T | blocks/async | – | it has no asynchronous form |
//! | NSX-T | async/blocks | queued | systems::nsx_t::nsx_t_work_that_blocks_is_done_as_a_task_and_its_429_only_delays |
//! | NSX-T | async/async | – | it has no asynchronous form |
//! | NSX-T | passes | queued | systems::nsx_t::nsx_t_passes_as_it_is |
//! | Avi | blocks/async | native | systems::seed_pools::a_patch_that_blocks_is_done_by_the_controller_s_own_merge |
//! | Avi | async/blocks | merged | merge::periods::a_thousand_patches_of_one_period_are_one_call |
//! | Avi | async/blocks | merged | merge::bad::one_bad_patch_of_a_hundred_fails_alone_with_the_controller_s_words |
//! | Avi | async/blocks | merged | merge::alone::who_does_not_ask_for_patience_is_executed_at_once_and_who_prefers_it_is_gathered |
//! | Avi | async/blocks | merged | merge::killed::a_gate_that_is_killed_during_its_call_leaves_nothing_unsaid |
//! | Avi | async/blocks | queued | facade::avi_face::a_patch_is_made_at_once_and_told_as_the_guide_has_it |
//! | Avi | async/async | native | systems::seed_pools::a_patch_that_is_asked_for_as_a_task_follows_the_controller_s_merge |
//! | Avi | passes | native | systems::seed_pools::an_asynchronous_patch_is_queued_merged_and_asked_for_by_its_id |
//! | Skytap | blocks/async | busy | facade::skytap::a_client_that_blocks_gets_its_answer_once_the_change_is_made |
//! | Skytap | blocks/async | busy | facade::skytap::twenty_clients_that_change_one_environment_are_all_served |
//! | Skytap | async/blocks | – | none of its changes blocks: a 200 comes before the work is done |
//! | Skytap | async/async | busy | facade::skytap::who_asks_for_a_task_gets_one_and_so_does_everybody_where_the_route_says_so |
//! | Skytap | async/async | busy | native::busy::after_a_200_it_is_polled_until_it_runs |
//! | Skytap | async/async | busy | native::busy_killed::every_change_is_made_once_and_in_order_over_kills |
//! | Skytap | passes | busy | facade::skytap::a_route_that_refuses_looks_once_for_all_who_ask |
//! | Skytap | passes | busy | facade::skytap::what_is_not_busy_is_passed_on_as_it_came |
//! | Redfish | blocks/async | native | systems::redfish::redfish_is_waited_for_by_clients_that_block |
//! | Redfish | async/blocks | queued | systems::redfish::a_service_that_blocks_is_asked_by_a_task_that_holds_a_seat |
//! | Redfish | async/async | native | systems::redfish::redfish_is_followed_by_a_task |
//! | Redfish | passes | native | systems::redfish::redfish_is_passed_on_to_who_knows_it |
//! | Azure style | blocks/async | native | systems::azure::azure_is_waited_for_by_clients_that_block |
//! | Azure style | async/blocks | – | nothing of it that takes time blocks |
//! | Azure style | async/async | native | systems::azure::azure_is_followed_by_a_task |
//! | Azure style | passes | native | systems::azure::azure_is_passed_on_to_who_knows_it |
//! | OpenStack style | blocks/async | native | systems::openstack::openstack_is_waited_for_by_clients_that_block |
//! | OpenStack style | async/blocks | – | nothing of it that takes time blocks |
//! | OpenStack style | async/async | native | systems::openstack::openstack_is_followed_by_a_task |
//! | OpenStack style | passes | native | systems::openstack::openstack_is_passed_on_to_who_knows_it |
//! | a file of one's own | blocks/async | native | systems::seed_states::each_terminal_state_is_told_to_who_just_waits |
//! | a file of one's own | async/blocks | queued | convert::policy::a_call_that_prefers_it_becomes_a_task |
//! | a file of one's own | async/async | native | readme::the_api_that_it_adds_by_a_file_is_done_by_tasks |
//! | a file of one's own | passes | native | systems::seed_states::who_knows_the_api_follows_its_tasks_itself |

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const DIRECTIONS: [&str; 4] = ["blocks/async", "async/blocks", "async/async", "passes"];

struct Row {
    system: &'static str,
    direction: &'static str,
    form: &'static str,
    test: &'static str,
}

fn rows() -> Vec<Row> {
    let lines = include_str!("table.rs").lines();
    let lines = lines.filter_map(|line| line.strip_prefix("//! | ")?.strip_suffix(" |"));
    let cells = lines
        .map(|line| line.split(" | ").collect::<Vec<_>>())
        .skip(1);
    cells
        .map(|cells| match cells[..] {
            [system, direction, form, test] => Row {
                system,
                direction,
                form,
                test,
            },
            _ => panic!("{cells:?} is no row"),
        })
        .collect()
}

/// Where a test of this name would stand.
fn file(test: &str) -> (PathBuf, &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let parts: Vec<&str> = test.split("::").collect();
    match parts[..] {
        [target, name] => (folder.join(format!("{target}.rs")), name),
        [target, module, name] => (folder.join(target).join(format!("{module}.rs")), name),
        _ => panic!("{test} is no test"),
    }
}

#[test]
fn each_test_that_the_table_names_is_there() {
    for row in rows().iter().filter(|row| row.form != "–") {
        let (file, name) = file(row.test);
        let text =
            std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", row.test));
        let mut above = text.lines().collect::<Vec<_>>();
        let at = above
            .iter()
            .position(|line| line.contains(&format!("fn {name}(")));
        above.truncate(at.unwrap_or_else(|| panic!("{} is not there", row.test)));
        assert!(
            above.last().unwrap().contains("test"),
            "{} is no test",
            row.test
        );
    }
}

#[test]
fn every_system_has_a_word_on_every_direction() {
    let rows = rows();
    for system in systems(&rows) {
        for direction in DIRECTIONS {
            let has = |row: &Row| row.system == system && row.direction == direction;
            assert!(rows.iter().any(has), "{system}: {direction}");
        }
    }
    let forms = ["native", "queued", "busy", "merged", "–"];
    assert!(rows.iter().all(|row| forms.contains(&row.form)));
}

fn systems(rows: &[Row]) -> Vec<&'static str> {
    let mut systems: Vec<&str> = rows.iter().map(|row| row.system).collect();
    systems.dedup();
    systems
}

#[test]
fn the_readme_says_the_same_in_short() {
    let rows = rows();
    let readme = include_str!("../../README.md");
    for system in systems(&rows) {
        let mut line = format!("| {system} |");
        for direction in DIRECTIONS {
            let of_it = |row: &&Row| row.system == system && row.direction == direction;
            let mut forms: Vec<_> = rows.iter().filter(of_it).map(|row| row.form).collect();
            forms.dedup();
            write!(line, " {} |", forms.join(", ")).unwrap();
        }
        assert!(readme.contains(&line), "not in README.md: {line}");
    }
}
