//! Which row of the shared table a request goes to. The edge has no paths of its own.

use scanvault_protocol::Problem;
use scanvault_protocol::route::{self, Door, Resolution, RouteMatch};

use crate::reply::Refusal;

/// Finds the row of a canonical path, internal rows hidden: 404 before anybody is asked who they are, then 405.
///
/// # Errors
/// [`Problem::NotFound`] or [`Problem::MethodNotAllowed`] with `Allow`.
pub fn find<'p>(method: &str, path: &'p str) -> Result<RouteMatch<'p>, Refusal> {
    match route::resolve(method, path, Door::Public) {
        Resolution::Found(hit) => Ok(hit),
        Resolution::NotFound => Err(Problem::NotFound.into()),
        Resolution::MethodNotAllowed(allow) => Err(Refusal::method(allow)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_paths_do_not_exist_whatever_the_method() {
        let internal: Vec<_> = route::ROUTES.iter().filter(|spec| spec.door() != Door::Public).collect();
        assert!(internal.len() >= 7);
        for spec in internal {
            for method in ["GET", "POST", "DELETE", "TRACE", "get"] {
                let refusal = find(method, spec.path).unwrap_err();
                assert_eq!(refusal, Problem::NotFound.into(), "{method} {}", spec.path);
            }
        }
    }

    #[test]
    fn another_method_of_a_known_path_is_told_the_right_ones() {
        for method in ["GET", "OPTIONS", "TRACE", "PATCH", "post"] {
            let Refusal::Problem { problem, allow, .. } = find(method, "/pluto/code/create").unwrap_err() else {
                panic!("{method}")
            };
            assert_eq!(problem, Problem::MethodNotAllowed, "{method}");
            assert_eq!(allow.as_deref(), Some("POST"), "{method}");
        }
    }
}
