//! The route table of one upstream: what a call is, by the first route that it takes.

use http::{HeaderMap, Method};

use super::asked::Asked;
use super::base::{Told, told};
use super::condition::{Conditions, Said};
use super::normal::check_query;
use super::pattern::Pattern;
use super::strict::strictness;
use super::sure::Sure;
use super::tree::{Found, MOST, Places, Tree};
use super::{BadOperation, BadTarget, split};
use crate::call::{Class, Dialect, Operation, Routes};
use crate::config;

/// Longest name of a service or operation that is looked up.
const LONGEST_NAME: usize = 256;

/// The routes of one upstream, compiled once.
///
/// A call takes the first route that matches; where none does, its path tells the class. A call in
/// plain spelling has one outcome. One that upstreams may read differently has several: every route
/// that **may** match counts, up to the first that matches in every reading, and the strictest class
/// of these holds.
#[derive(Debug)]
pub struct Table {
    dialect: Dialect,
    tree: Tree,
    routes: Box<[Route]>,
    /// Routes that ask for an operation.
    of_operations: Places,
}

#[derive(Debug)]
struct Route {
    name: Box<str>,
    class: Class,
    conditions: Conditions,
}

/// What has been found so far.
struct Outcome {
    class: Option<Class>,
    route: Option<u16>,
    routes: Routes,
    certain: bool,
}

impl Table {
    /// The table for an upstream that speaks `dialect`, with its routes, the first of which wins.
    ///
    /// The configuration allows at most 1000 routes; of more than 1024 the rest would be left out.
    #[must_use]
    pub fn new(dialect: Dialect, routes: &[config::Route]) -> Self {
        let mut tree = Tree::new();
        let mut compiled = Vec::with_capacity(routes.len());
        let mut of_operations = Places::NONE;
        for (place, route) in (0_u16..).zip(routes.iter().take(MOST)) {
            let path = route.matches.path.as_deref();
            let pattern = path.map(Pattern::new);
            // A path that is no pattern, which the configuration refuses, is on no call's way.
            if pattern != Some(None) {
                tree.insert(pattern.flatten().as_ref(), place);
            }
            let conditions = Conditions::new(&route.matches);
            if conditions.needs_operation() {
                of_operations.insert(place);
            }
            compiled.push(Route {
                name: route.name.as_str().into(),
                class: route.class,
                conditions,
            });
        }
        Self {
            dialect,
            tree,
            routes: compiled.into(),
            of_operations,
        }
    }

    /// How many routes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether it has no route at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// The name of the route at this place of the upstream's list.
    #[must_use]
    pub fn name(&self, route: u16) -> Option<&str> {
        self.routes
            .get(usize::from(route))
            .map(|route| &*route.name)
    }

    /// Judges a request by its head. The target may be in origin form (`/path?query`), absolute form
    /// (`http://host/path?query`) or `*`.
    ///
    /// Nothing is allocated when the path is in normal form already, as it usually is.
    ///
    /// # Errors
    ///
    /// [`BadTarget`] for targets that no honest client sends.
    pub fn target<'t>(
        &self,
        method: &Method,
        target: &'t str,
        headers: &HeaderMap,
    ) -> Result<Asked<'t>, BadTarget> {
        let (path, query) = split(target)?;
        if let Some(query) = query {
            check_query(query)?;
        }
        let mut asked = Asked::spelled(path, query)?;
        if path != "*" {
            self.judge(&mut asked, method, headers, None);
        }
        Ok(asked)
    }

    /// Judges the same request again, now that its body named the operation. `method` and `headers`
    /// are those that [`Table::target`] was asked with.
    ///
    /// # Errors
    ///
    /// [`BadOperation`] for names that no client's library sends: an upstream might trim or cut them,
    /// and so execute what was not judged.
    pub fn operation<'t>(
        &self,
        mut asked: Asked<'t>,
        method: &Method,
        headers: &HeaderMap,
        operation: Operation<'_>,
    ) -> Result<Asked<'t>, BadOperation> {
        check_name(operation.name)?;
        operation.service.map_or(Ok(()), check_name)?;
        self.judge(&mut asked, method, headers, Some(operation));
        asked.operation_in_body = false;
        Ok(asked)
    }

    fn judge(
        &self,
        asked: &mut Asked<'_>,
        method: &Method,
        headers: &HeaderMap,
        operation: Option<Operation<'_>>,
    ) {
        let said = Said::new(method, asked.query, Some(headers), operation);
        let (found, told) = self.read(asked, &said);
        let outcome = self.first(&found, &said);
        let class = match outcome.class {
            Some(class) if outcome.certain || strictness(class) >= strictness(told.class) => class,
            _ => told.class,
        };
        asked.route = outcome.route.filter(|_| outcome.class == Some(class));
        asked.routes = outcome.routes;
        asked.class = class;
        asked.spoken = told.spoken;
        asked.operation_in_body = told.in_body;
    }

    /// Every spelling of the path: the routes it is on, and what it tells by itself.
    fn read(&self, asked: &Asked<'_>, said: &Said<'_>) -> (Found, Told) {
        let mut found = self.tree.find(&asked.normal_path);
        let mut all = told(self.dialect, said, &asked.normal_path);
        for path in asked.other_paths() {
            found.and(&self.tree.find(path));
            all = all.and(told(self.dialect, said, path));
        }
        if said.operation.is_none() {
            found.some.remove(&self.of_operations);
        }
        (found, all)
    }

    /// The routes that the call may take, up to the first that it takes in every reading.
    fn first(&self, found: &Found, said: &Said<'_>) -> Outcome {
        let mut outcome = Outcome {
            class: None,
            route: None,
            routes: Routes::NONE,
            certain: false,
        };
        for place in found.some.iter() {
            let Some(route) = self.routes.get(usize::from(place)) else {
                break;
            };
            let on_path = if found.every.contains(place) {
                Sure::Yes
            } else {
                Sure::Maybe
            };
            match on_path.and(|| route.conditions.hold(said)) {
                Sure::No => continue,
                Sure::Maybe => {}
                Sure::Yes => outcome.certain = true,
            }
            outcome.note(place, route.class);
            if outcome.certain {
                break;
            }
        }
        outcome
    }
}

impl Outcome {
    fn note(&mut self, place: u16, class: Class) {
        self.routes.insert(place);
        if self
            .class
            .is_none_or(|held| strictness(class) > strictness(held))
        {
            self.class = Some(class);
            self.route = Some(place);
        }
    }
}

fn check_name(name: &str) -> Result<(), BadOperation> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-$".contains(&byte);
    if !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(plain) {
        Ok(())
    } else {
        Err(BadOperation)
    }
}
