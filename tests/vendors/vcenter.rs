//! vCenter: sessions, blocking calls and their seats, and what is refused.

use super::vendors::vcenter::{VCenter, sign};
use super::vendors::{Kind, Pace, Twist, When};
use super::{Answer, basic, call, request, text, until};

/// As the specification writes it.
const CLONE: &str = r#"{"source":"vm-11","name":"web-02","placement":{"folder":"group-v3","resource_pool":"resgroup-8","datastore":"datastore-12"},"power_on":false}"#;
const ADMIN: &str = "Authorization: Basic YWRtaW5pc3RyYXRvckB2c3BoZXJlLmxvY2FsOnB3\r\n";

#[tokio::test]
async fn sessions_open_and_end_as_in_the_specification() {
    let vc = VCenter::start(Pace::ByHand).await;
    vc.works.next_name("b00db39f948d13ea1e59b4d6fce56389");
    let opened = call(vc.address, "POST /api/session", ADMIN, "").await;
    assert_eq!(
        opened.head,
        "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 34\r\n\r\n"
    );
    assert_eq!(text(&opened), r#""b00db39f948d13ea1e59b4d6fce56389""#);
    let with = "vmware-api-session-id: b00db39f948d13ea1e59b4d6fce56389\r\n";
    let about = call(vc.address, "GET /api/session", with, "").await;
    assert_eq!(about.json()["user"], "VSPHERE.LOCAL\\administrator");
    let ended = call(vc.address, "DELETE /api/session", with, "").await;
    assert_eq!((ended.status, vc.open_sessions()), (204, 0));
    let gone = call(vc.address, "GET /api/session", with, "").await;
    assert_eq!(gone.status, 401);
    assert_eq!(gone.json()["error_type"], "UNAUTHENTICATED");
    assert_eq!(
        gone.json()["messages"][0]["id"],
        "com.vmware.vapi.endpoint.method.authentication.required"
    );
    let challenge = gone.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Basic realm=\"VAPI endpoint\",SIGN realm="));
}

#[tokio::test]
async fn older_sessions_come_wrapped_and_with_a_cookie() {
    let vc = VCenter::start(Pace::ByHand).await;
    vc.works.next_name("t1");
    let old = "/rest/com/vmware/cis/session";
    let opened = call(vc.address, &format!("POST {old}"), ADMIN, "").await;
    assert_eq!((opened.status, &*text(&opened)), (200, r#"{"value":"t1"}"#));
    let cookie = opened.header("set-cookie").unwrap();
    assert_eq!(
        cookie,
        "vmware-api-session-id=t1;Path=/rest;Secure;HttpOnly"
    );
    let with = "Cookie: vmware-api-session-id=t1\r\n";
    let about = call(vc.address, &format!("POST {old}?~action=get"), with, "").await;
    assert_eq!(
        about.json()["value"]["user"],
        "VSPHERE.LOCAL\\administrator"
    );
    let wrong = call(vc.address, "GET /rest/vcenter/vm", "", "").await;
    assert_eq!(
        wrong.json()["type"],
        "com.vmware.vapi.std.errors.unauthenticated"
    );
    assert_eq!(wrong.json()["value"]["error_type"], "UNAUTHENTICATED");
    let ended = call(vc.address, &format!("DELETE {old}"), with, "").await;
    assert_eq!((ended.status, vc.open_sessions()), (200, 0));
    assert_eq!(vc.books.count(Kind::Login), 1);
    assert_eq!(vc.books.count(Kind::Logout), 1);
}

async fn blocking(vc: &super::vendors::Model<VCenter>, line: &str, body: &str) -> Answer {
    let (address, line, body) = (vc.address, line.to_owned(), body.to_owned());
    let ended = vc.works.ended();
    let asked = tokio::spawn(async move { call(address, &line, ADMIN, &body).await });
    until("it runs or is answered", || {
        vc.books.now("blocking") == 1 || asked.is_finished()
    })
    .await;
    assert_eq!(vc.works.ended(), ended, "it has not ended by itself");
    vc.works.finish_all();
    asked.await.unwrap()
}

#[tokio::test]
async fn blocking_calls_answer_when_they_are_done() {
    let vc = VCenter::start(Pace::ByHand).await;
    let made = blocking(&vc, "POST /api/vcenter/vm?action=clone", CLONE).await;
    assert_eq!((made.status, &*text(&made)), (200, "\"vm-12\""));
    assert_eq!(vc.books.effects("clone web-02"), 1);
    let spec = r#"{"spec":{"source":"vm-12","name":"web-03"}}"#;
    let old = blocking(&vc, "POST /rest/vcenter/vm?action=clone", spec).await;
    assert_eq!((old.status, &*text(&old)), (200, r#"{"value":"vm-13"}"#));
    let moved = blocking(&vc, "POST /api/vcenter/vm/vm-12?action=relocate", "{}").await;
    assert_eq!((moved.status, moved.body.len()), (204, 0));
    let removed = blocking(&vc, "DELETE /api/vcenter/vm/vm-12", "").await;
    assert_eq!(removed.status, 204);
    let gone = blocking(&vc, "DELETE /api/vcenter/vm/vm-12", "").await;
    assert_eq!(
        (gone.status, &gone.json()["error_type"]),
        (404, &"NOT_FOUND".into())
    );
    assert_eq!(vc.vm_names(), ["golden", "web-03"]);
    assert_eq!(vc.books.count(Kind::Blocking), 5);
    assert_eq!(vc.books.effects("relocate vm-12"), 1);
    assert_eq!(vc.books.effects("delete vm-12"), 1);
}

#[tokio::test]
async fn a_blocking_call_fails_with_the_status_of_its_error() {
    let vc = VCenter::start(Pace::ByHand).await;
    let twist = Twist::fails("UNABLE_TO_ALLOCATE_RESOURCE", "The datastore is full.");
    vc.works.twist(When::Next(1), twist);
    let failed = blocking(&vc, "POST /api/vcenter/vm?action=clone", CLONE).await;
    assert_eq!(failed.status, 500);
    assert_eq!(failed.json()["error_type"], "UNABLE_TO_ALLOCATE_RESOURCE");
    assert_eq!(vc.vm_names(), ["golden"], "nothing was made");
    let again = blocking(&vc, "POST /api/vcenter/vm?action=clone", CLONE).await;
    assert_eq!(again.status, 200, "and the name is free again");
}

#[tokio::test]
async fn the_eleventh_blocking_call_is_refused_and_noted() {
    let vc = VCenter::start(Pace::ByHand).await;
    let clone = |number: u32| {
        let body = format!(r#"{{"source":"vm-11","name":"web-{number}"}}"#);
        let address = vc.address;
        tokio::spawn(async move {
            call(address, "POST /api/vcenter/vm?action=clone", ADMIN, &body).await
        })
    };
    let ten: Vec<_> = (0..10).map(clone).collect();
    until("ten seats are taken", || vc.books.now("blocking") == 10).await;
    let eleventh = clone(10).await.unwrap();
    assert_eq!(eleventh.status, 503);
    assert_eq!(
        text(&eleventh),
        "{\"error_type\":\"SERVICE_UNAVAILABLE\",\"messages\":[{\"id\":\"com.vmware.vapi.endpoint.cis.ServiceUnavailable\",\
         \"default_message\":\"Service unavailable.\",\"args\":[]}]}"
    );
    assert_eq!(vc.books.violations().len(), 1);
    vc.works.finish_all();
    for answer in ten {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    assert_eq!(
        (vc.books.now("blocking"), vc.books.most("blocking")),
        (0, 10)
    );
    assert_eq!((vc.books.now("running"), vc.books.most("running")), (0, 10));
}

#[tokio::test]
async fn a_seat_is_kept_until_the_work_ends_though_the_caller_is_gone() {
    let vc = VCenter::start(Pace::ByHand).await;
    let mut client = super::Client::connect(vc.address).await;
    let line = "POST /api/vcenter/vm?action=clone";
    client.send(request(line, ADMIN, CLONE)).await;
    until("it runs", || vc.books.now("blocking") == 1).await;
    drop(client);
    let other = r#"{"source":"vm-11","name":"web-03"}"#;
    vc.seats(1);
    let refused = call(vc.address, line, ADMIN, other).await;
    assert_eq!(refused.status, 503);
    vc.works.finish_all();
    assert_eq!(vc.books.now("blocking"), 0);
    assert_eq!(vc.books.effects("clone web-02"), 1);
}

#[tokio::test]
async fn an_operation_without_a_twin_is_not_found_and_does_nothing() {
    let vc = VCenter::start(Pace::ByHand).await;
    let line = "POST /api/vcenter/vm?action=register&vmw-task=true";
    let unknown = call(vc.address, line, ADMIN, r#"{"name":"x"}"#).await;
    assert_eq!(unknown.status, 404);
    assert_eq!(
        unknown.json()["messages"][0]["id"],
        "com.vmware.vapi.rest.httpNotFound"
    );
    vc.twins(&[]);
    let line = "POST /api/vcenter/vm?action=clone&vmw-task=true";
    assert_eq!(call(vc.address, line, ADMIN, CLONE).await.status, 404);
    vc.works.finish_all();
    assert!(vc.books.all_effects().is_empty());
    assert!(vc.works.all().is_empty());
}

#[tokio::test]
async fn names_are_unique_in_a_folder_unless_the_test_says_otherwise() {
    let vc = VCenter::start(Pace::ByHand).await;
    let line = "POST /api/vcenter/vm?action=clone&vmw-task=true";
    assert_eq!(call(vc.address, line, ADMIN, CLONE).await.status, 202);
    // While the first is under way, and after.
    for _ in 0..2 {
        let second = call(vc.address, line, ADMIN, CLONE).await;
        assert_eq!(
            (second.status, &second.json()["error_type"]),
            (400, &"ALREADY_EXISTS".into())
        );
        vc.works.finish_all();
    }
    let elsewhere = CLONE.replace("group-v3", "group-v4");
    assert_eq!(call(vc.address, line, ADMIN, &elsewhere).await.status, 202);
    vc.unique_names(false);
    assert_eq!(call(vc.address, line, ADMIN, CLONE).await.status, 202);
    vc.works.finish_all();
    assert_eq!(vc.books.effects("clone web-02"), 3);
    assert_eq!(vc.vm_names(), ["golden", "web-02", "web-02", "web-02"]);
}

#[tokio::test]
async fn vms_are_found_by_their_names() {
    let vc = VCenter::start(Pace::ByHand).await;
    vc.add_vm("vm-20", "web 1");
    let found = call(
        vc.address,
        "GET /api/vcenter/vm?names=web%201&names=no",
        ADMIN,
        "",
    )
    .await;
    assert_eq!(found.json().as_array().unwrap().len(), 1);
    assert_eq!(found.json()[0]["vm"], "vm-20");
    let line = "GET /rest/vcenter/vm?filter.names.1=golden";
    let old = call(vc.address, line, ADMIN, "").await;
    assert_eq!(old.json()["value"][0]["vm"], "vm-11");
    assert_eq!(vc.books.count(Kind::Probe), 2);
}

#[tokio::test]
async fn a_signed_request_is_taken_as_it_was_signed_and_not_otherwise() {
    let vc = VCenter::start(Pace::ByHand).await;
    let target = "/api/vcenter/vm?action=clone&vmw-task=true";
    let user = "Administrator@VSPHERE.LOCAL";
    let field = sign("POST", target, CLONE.as_bytes(), user);
    let head = format!("Authorization: {field}\r\n");
    let line = format!("POST {target}");
    assert_eq!(call(vc.address, &line, &head, CLONE).await.status, 202);
    assert!(vc.books.violations().is_empty());
    let other_body = CLONE.replace("web-02", "web-03");
    assert_eq!(
        call(vc.address, &line, &head, &other_body).await.status,
        401
    );
    let blocking = "POST /api/vcenter/vm?action=clone";
    assert_eq!(call(vc.address, blocking, &head, CLONE).await.status, 401);
    assert_eq!(vc.books.violations().len(), 2);
    assert_eq!(vc.works.all().len(), 1);
}

#[tokio::test]
async fn operations_on_many_objects_answer_200_whatever_came_of_them() {
    let vc = VCenter::start(Pace::ByHand).await;
    let line = "POST /api/cis/tagging/tag-association/t1?action=attach-tag-to-multiple-objects";
    let body = r#"{"object_ids":[{"type":"VirtualMachine","id":"vm-11"},{"type":"VirtualMachine","id":"missing"}]}"#;
    let answer = call(vc.address, line, ADMIN, body).await;
    assert_eq!(
        (answer.status, &answer.json()["success"]),
        (200, &false.into())
    );
    assert_eq!(answer.json()["error_messages"].as_array().unwrap().len(), 1);
    assert_eq!(vc.books.effects("tag t1 on vm-11"), 1);
}

#[tokio::test]
async fn soap_methods_begin_tasks_in_json_and_in_xml() {
    let vc = VCenter::start(Pace::ByHand).await;
    let line = "POST /sdk/vim25/8.0.1.0/VirtualMachine/vm-11/CloneVM_Task";
    let json = call(vc.address, line, &basic("a"), "{}").await;
    assert_eq!(json.json()["type"], "Task");
    let soap = call(vc.address, "POST /sdk", "", "<soapenv:Envelope/>").await;
    assert!(text(&soap).contains("<returnval type=\"Task\">"));
    assert_eq!(vc.books.count(Kind::Other), 2);
    assert_eq!(vc.books.most("blocking"), 0);
}
