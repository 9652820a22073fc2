//! Where to draw the nodes of a graph: springs along edges, and repulsion between all nodes ("Graph Drawing by Force-Directed
//! Placement", Fruchterman & Reingold, 1991), with some pull to the centre, so that parts stay together.

/// Rounds of movement.
const ROUNDS: usize = 300;

/// Places in the unit square, the same each time.
pub(crate) fn layout(nodes: usize, edges: &[[usize; 2]]) -> Vec<[f64; 2]> {
    // A spiral begins without two nodes at one place.
    let mut places: Vec<[f64; 2]> = (0..nodes)
        .map(|i| {
            let (angle, radius) = (2.399963 * i as f64, 0.5 * ((i + 1) as f64 / nodes as f64).sqrt());
            [radius * angle.cos(), radius * angle.sin()]
        })
        .collect();
    let rounds = if nodes > 1000 { ROUNDS / 3 } else { ROUNDS };
    let length = (1.0 / nodes.max(1) as f64).sqrt();
    for round in 0..rounds {
        let mut forces: Vec<[f64; 2]> = places.iter().map(|p| [-0.6 * p[0], -0.6 * p[1]]).collect();
        for i in 0..nodes {
            for j in 0..i {
                let d = [places[i][0] - places[j][0], places[i][1] - places[j][1]];
                let push = length * length / (d[0] * d[0] + d[1] * d[1]).max(1e-9);
                for k in 0..2 {
                    forces[i][k] += push * d[k];
                    forces[j][k] -= push * d[k];
                }
            }
        }
        for &[i, j] in edges {
            let d = [places[i][0] - places[j][0], places[i][1] - places[j][1]];
            let pull = (d[0] * d[0] + d[1] * d[1]).sqrt() / length;
            for k in 0..2 {
                forces[i][k] -= pull * d[k];
                forces[j][k] += pull * d[k];
            }
        }
        let step = 0.1 * (1.0 - round as f64 / rounds as f64) + 0.001;
        for (place, force) in places.iter_mut().zip(&forces) {
            let size = (force[0] * force[0] + force[1] * force[1]).sqrt().max(1e-9);
            for k in 0..2 {
                place[k] += force[k] / size * size.min(step);
            }
        }
    }
    into_unit_square(places)
}

fn into_unit_square(mut places: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    for k in 0..2 {
        let least = places.iter().map(|p| p[k]).fold(f64::MAX, f64::min);
        let most = places.iter().map(|p| p[k]).fold(f64::MIN, f64::max);
        for place in &mut places {
            place[k] = (place[k] - least) / (most - least).max(1e-9);
        }
    }
    places
}
