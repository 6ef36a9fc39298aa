//! The other products.

use tidegate::call::Class;

use crate::{is, table};

#[test]
fn nsx() {
    let table = table("nsx-4");
    is(&table, "POST /api/session/create", Class::Login, "login");
    is(&table, "GET /api/session/destroy", Class::Logout, "logout");
    is(&table, "POST /api/session/destroy", Class::Logout, "logout");
    is(&table, "GET /api/v1/tasks/7", Class::Task, "tasks");
    is(&table, "GET /policy/api/v1/infra", Class::Rest, "");
    is(&table, "GET /api/v1/cluster/api-service", Class::Rest, "");
    let bundle = "/api/v1/administration/support-bundles?action=collect";
    is(
        &table,
        &format!("POST {bundle}"),
        Class::Transfer,
        "log-bundles",
    );
    is(&table, &format!("GET {bundle}"), Class::Rest, "");
    is(&table, &format!("POST {bundle}&action=x"), Class::Rest, "");
}

#[test]
fn nsx_v() {
    let table = table("nsx-v");
    is(
        &table,
        "GET /api/4.0/edges/jobs/jobdata-1",
        Class::Task,
        "jobs",
    );
    is(
        &table,
        "GET /api/4.0/edges/jobs?status=all",
        Class::Task,
        "jobs",
    );
    is(
        &table,
        "GET /api/2.0/services/taskservice/job/j-1",
        Class::Task,
        "service-jobs",
    );
    is(
        &table,
        "GET /api/2.0/vdn/controller/progress/j-1",
        Class::Task,
        "controller-progress",
    );
    is(&table, "POST /api/4.0/edges", Class::Blocking, "edge-post");
    is(
        &table,
        "PUT /api/4.0/edges/edge-1/nat/config",
        Class::Blocking,
        "edge-put",
    );
    is(
        &table,
        "DELETE /api/4.0/edges/edge-1",
        Class::Blocking,
        "edge-delete",
    );
    is(
        &table,
        "POST /api/4.0/edges?async=true",
        Class::Rest,
        "edge-native-job",
    );
    is(
        &table,
        "POST /api/4.0/edges?async=true&async=false",
        Class::Blocking,
        "edge-post",
    );
    is(&table, "GET /api/4.0/edges/edge-1", Class::Rest, "");
}

#[test]
fn avi() {
    let table = table("avi");
    is(&table, "POST /login", Class::Login, "login");
    is(&table, "POST /logout", Class::Logout, "logout");
    is(
        &table,
        "GET /api/pool-async/status/p-1",
        Class::Task,
        "pool-async-status",
    );
    is(
        &table,
        "PATCH /api/pool/p-1?async_mode=true",
        Class::Rest,
        "pool-patch",
    );
}

#[test]
fn skytap_is_rest_from_the_root_on() {
    let table = table("skytap");
    for line in [
        "GET /configurations/1",
        "PUT /v2/vms/2",
        "GET /",
        "DELETE /api/x",
    ] {
        is(&table, line, Class::Rest, "everything");
    }
}

#[test]
fn what_is_known_of_no_product_is_told_by_path() {
    let table = table("generic");
    is(&table, "GET /api/x", Class::Rest, "");
    is(&table, "GET /folder/x", Class::Transfer, "");
    is(&table, "GET /", Class::Other, "");
}
