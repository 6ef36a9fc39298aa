//! The request of a task, as the store keeps it.

use tokio::time::sleep;

use super::pause::back_off;
use super::works::Works;
use crate::session::StoreError;
use crate::task::desk::RequestError;
use crate::task::id::TaskId;
use crate::task::parcel::Parcel;
use crate::task::record::Fault;

impl Works {
    /// The request of a task. While the store cannot be read it waits, and no task is taken in: it was accepted, so it does not
    /// fail for that. What is damaged, or is gone, nobody can send.
    pub(super) async fn parcel(&self, id: TaskId) -> Result<Parcel, Fault> {
        let mut unread = None;
        for failed in 1.. {
            match self.read_parcel(id).await {
                Ok(parcel) => return parcel,
                Err(error) => {
                    unread.get_or_insert_with(|| self.desk.cannot_read(&error));
                }
            }
            sleep(back_off(failed, self.spread.next())).await;
        }
        Err(unreadable("it could not be read"))
    }

    /// The same, where the store can be read.
    pub(super) async fn read_parcel(
        &self,
        id: TaskId,
    ) -> Result<Result<Parcel, Fault>, StoreError> {
        let _turn = self.reading.acquire().await;
        match self.desk.request(id).await {
            Ok(Some(request)) => {
                Ok(Parcel::decode(request).ok_or_else(|| unreadable("it is damaged")))
            }
            Ok(None) => Ok(Err(unreadable("it is gone"))),
            Err(RequestError::Closed(error)) => {
                tracing::error!(task = %id, %error, "the request of a task cannot be opened; was state.key_file replaced?");
                Ok(Err(unreadable(
                    "the gate cannot open it any more; its log says why",
                )))
            }
            Err(RequestError::Store(error)) => Err(error),
        }
    }
}

fn unreadable(why: &str) -> Fault {
    Fault {
        kind: "request-lost",
        status: 502,
        detail: format!("the request, with its credentials, cannot be sent: {why}"),
    }
}
