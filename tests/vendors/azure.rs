//! Azure: where the status of a change is read, in each of the three forms.

use serde_json::{Value, json};

use super::vendors::azure::{Azure, Form};
use super::vendors::{Ending, Kind, Model, Pace, Twist, When};
use super::{Answer, call, text};

const BEARER: &str = "Authorization: Bearer me\r\n";
const VM: &str =
    "/subscriptions/s1/resourceGroups/g1/providers/Microsoft.Compute/virtualMachines/web";

async fn change(azure: &Model<Azure>, method: &str) -> Answer {
    let line = format!("{method} {VM}?api-version=2024-07-01");
    call(azure.address, &line, BEARER, r#"{"location":"here"}"#).await
}

/// GET of a URL that an answer named.
async fn follow(azure: &Model<Azure>, url: &str) -> Answer {
    let path = url.strip_prefix("http://vc1.example").unwrap();
    call(azure.address, &format!("GET {path}"), BEARER, "").await
}

async fn state(azure: &Model<Azure>) -> Value {
    let vm = call(
        azure.address,
        &format!("GET {VM}?api-version=1"),
        BEARER,
        "",
    )
    .await;
    vm.json()["properties"]["provisioningState"].clone()
}

#[tokio::test]
async fn a_put_names_its_operation() {
    let azure = Azure::start(Pace::ByHand).await;
    let made = change(&azure, "PUT").await;
    assert_eq!((made.status, made.header("retry-after")), (201, Some("10")));
    assert_eq!(made.json()["properties"]["provisioningState"], "Creating");
    let url = made.header("azure-asyncoperation").unwrap();
    assert!(url.ends_with("?api-version=2024-07-01"), "{url}");
    let waits = follow(&azure, url).await;
    assert_eq!(
        (waits.status, &*text(&waits)),
        (200, r#"{"status":"InProgress"}"#)
    );
    assert_eq!(waits.header("retry-after"), Some("10"));
    azure.works.finish_all();
    assert_eq!(
        text(&follow(&azure, url).await),
        r#"{"status":"Succeeded"}"#
    );
    assert_eq!(state(&azure).await, "Succeeded");
    assert_eq!(azure.books.effects(&format!("PUT {VM}")), 1);
    assert_eq!(
        (
            azure.books.count(Kind::Start),
            azure.books.count(Kind::Poll)
        ),
        (1, 2)
    );
    let again = change(&azure, "PUT").await;
    assert_eq!(
        (again.status, state(&azure).await),
        (202, json!("Updating"))
    );
}

#[tokio::test]
async fn a_deletion_has_both_places_and_a_location_ends_with_the_result() {
    let azure = Azure::start(Pace::ByHand).await;
    change(&azure, "PUT").await;
    azure.works.finish_all();
    let gone = change(&azure, "DELETE").await;
    assert_eq!((gone.status, gone.body.len()), (202, 0));
    assert!(gone.header("azure-asyncoperation").is_some());
    let url = gone.header("location").unwrap();
    let waits = follow(&azure, url).await;
    assert_eq!((waits.status, waits.header("location")), (202, Some(url)));
    azure.works.finish_all();
    assert_eq!(follow(&azure, url).await.status, 204);
    assert_eq!(azure.resource(VM), None);
    assert_eq!(change(&azure, "DELETE").await.status, 404);
}

#[tokio::test]
async fn the_other_forms_name_one_place() {
    let azure = Azure::start(Pace::ByHand).await;
    azure.retry_after(0);
    azure.form(Form::OperationLocation);
    let made = change(&azure, "PUT").await;
    let fields = [
        "operation-location",
        "azure-asyncoperation",
        "location",
        "retry-after",
    ];
    assert_eq!(
        fields.map(|name| made.header(name).is_some()),
        [true, false, false, false]
    );
    azure.form(Form::Location);
    let made = change(&azure, "PUT").await;
    assert_eq!(
        fields.map(|name| made.header(name).is_some()),
        [false, false, true, false]
    );
    azure.works.finish_all();
    let result = follow(&azure, made.header("location").unwrap()).await;
    assert_eq!((result.status, &result.json()["id"]), (200, &VM.into()));
}

#[tokio::test]
async fn failure_and_cancelation_are_told() {
    let azure = Azure::start(Pace::ByHand).await;
    azure
        .works
        .twist(When::Nth(1), Twist::fails("SkuNotAvailable", "None left."));
    azure
        .works
        .twist(When::Nth(2), Twist::Ends(Ending::Canceled));
    azure
        .works
        .twist(When::Nth(3), Twist::Ends(Ending::Unexplained));
    let expected = [
        r#"{"status":"Failed","error":{"code":"SkuNotAvailable","message":"None left."}}"#,
        r#"{"status":"Canceled"}"#,
        r#"{"status":"Failed"}"#,
    ];
    for (told, state_after) in expected.into_iter().zip(["Failed", "Canceled", "Failed"]) {
        let made = change(&azure, "PUT").await;
        azure.works.finish_all();
        let url = made.header("azure-asyncoperation").unwrap();
        assert_eq!(text(&follow(&azure, url).await), told);
        assert_eq!(state(&azure).await, state_after);
    }
    assert!(azure.books.all_effects().is_empty());
    assert_eq!(
        call(azure.address, &format!("GET {VM}"), "", "")
            .await
            .status,
        401
    );
}
