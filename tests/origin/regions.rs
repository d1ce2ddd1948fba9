//! Which region serves: what edges are told, and what a region that stands by does.

use scanvault_protocol::region::State;

use crate::on_both;
use crate::world::{Forward, World};

fn state() -> Forward {
    Forward::get("/pluto/internal/region")
}

on_both! {
    async fn edges_are_told_how_the_region_stands(world: World) {
        let mut world = world;
        let answer = world.send(state()).await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"), "{}", answer.text());
        let told = State::parse(&answer.body).unwrap();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        assert_eq!(told, State { region: "a".into(), version, sealed: true, serves: true, epoch: 0 });
        world.ready().await;
        assert!(!State::parse(&world.send(state()).await.body).unwrap().sealed);
        assert_eq!(world.send(Forward { method: "HEAD", ..state() }).await.status, 200);
    }

    /// It is a row of the edges' own: nobody else's key opens it, and it takes nothing.
    async fn nobody_else_is_told(world: World) {
        let mut world = world;
        world.ready().await;
        world.send(state().by("vault-1")).await.assert_problem(404, "not-found");
        world.send(Forward::get("/pluto/internal/region?a=1")).await.assert_problem(400, "bad-request");
        world.send(Forward::delete("/pluto/internal/region")).await.assert_problem(405, "method-not-allowed");
    }
}
