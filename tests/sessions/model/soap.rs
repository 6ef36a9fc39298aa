//! SOAP of the model: faults come with status 500, and a session is a cookie.

use super::{Desk, Kind, Point};
use crate::support::wire::{Reply, Request};

/// The text between `<name>` and its end.
fn element<'b>(body: &'b str, name: &str) -> Option<&'b str> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

/// The name of the first element in the SOAP body.
fn method(body: &str) -> &str {
    let (_, inside) = body.split_once("Body>").unwrap_or_default();
    let name = inside.trim_start().trim_start_matches('<');
    name.split([' ', '>', '/']).next().unwrap_or_default()
}

fn fault(name: &str, text: &str) -> Reply {
    let fault = format!(
        "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>{text}</faultstring>\
         <detail><{name}Fault xmlns=\"urn:vim25\" xsi:type=\"{name}\"></{name}Fault></detail></soapenv:Fault>"
    );
    Reply::xml(500, &fault)
}

impl Desk<'_> {
    pub(super) async fn soap(&mut self, request: &Request) -> Option<Reply> {
        if request.method == "GET" {
            return Some(Reply::xml(200, "<versions/>"));
        }
        let method = method(&request.body);
        if method == "Login" {
            return self.soap_login(&request.body).await;
        }
        let token = request.cookie("vmware_soap_session").unwrap_or_default();
        let user = self.books.user(token, Kind::Soap);
        if method == "RetrieveProperties" {
            self.books.did("whose");
            return Some(session_manager(user.as_deref()));
        }
        if method == "RetrieveServiceContent" {
            let reply = "<RetrieveServiceContentResponse xmlns=\"urn:vim25\"/>";
            return Some(Reply::xml(200, reply));
        }
        if user.is_none() {
            self.books.did("call refused");
            return Some(fault(
                "NotAuthenticated",
                "The session is not authenticated.",
            ));
        }
        match method {
            "Logout" => {
                self.books.end(token);
                self.books.did("logout");
            }
            "Fails" => return Some(fault("InvalidArgument", "No such thing.")),
            "WaitForUpdatesEx" => {
                self.poll().await?;
                self.books.did("poll");
            }
            _ => {
                self.stay(&["soap"], Point::Soap).await?;
                self.books.did("soap");
            }
        }
        let reply = format!("<{method}Response xmlns=\"urn:vim25\"></{method}Response>");
        Some(Reply::xml(200, &reply))
    }

    async fn soap_login(&mut self, body: &str) -> Option<Reply> {
        let user = element(body, "userName").unwrap_or_default();
        let password = element(body, "password").unwrap_or_default();
        let Some(token) = self.login(user, password, Kind::Soap).await? else {
            let text = "Cannot complete login due to an incorrect user name or password.";
            return Some(fault("InvalidLogin", text));
        };
        // As vCenter: the domain in front, in capitals.
        let user = super::books::normal(user);
        let (name, domain) = user.split_once('@').unwrap_or((&user, ""));
        let user = format!("{}\\{name}", domain.to_uppercase());
        let reply = format!(
            "<LoginResponse xmlns=\"urn:vim25\"><returnval><key>52</key><userName>{user}</userName>\
             </returnval></LoginResponse>"
        );
        let cookie = format!("vmware_soap_session=\"{token}\"; Path=/; HttpOnly; Secure;");
        Some(Reply::xml(200, &reply).with("Set-Cookie", cookie))
    }
}

/// The property `currentSession` of the session manager.
fn session_manager(user: Option<&str>) -> Reply {
    let inside = match user {
        Some(user) => format!(
            "<propSet><name>currentSession</name><val xsi:type=\"UserSession\">\
             <key>52</key><userName>{user}</userName></val></propSet>"
        ),
        None => String::new(),
    };
    let reply = format!(
        "<RetrievePropertiesResponse xmlns=\"urn:vim25\"><returnval>\
         <obj type=\"SessionManager\">SessionManager</obj>{inside}</returnval></RetrievePropertiesResponse>"
    );
    Reply::xml(200, &reply)
}
