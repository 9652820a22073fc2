//! Zachary's karate club ("An Information Flow Model for Conflict and Fission in Small Groups", 1977): 34 members, and who of
//! them met outside of the club before it split in two. The numbers are those of networkx (BSD).

use flambeau_tensor::{DType, Result, Tensor};

use crate::{Graph, utils};

/// Who met whom.
#[rustfmt::skip]
const MET: [[i64; 2]; 78] = [
    [0, 1], [0, 2], [0, 3], [0, 4], [0, 5], [0, 6], [0, 7], [0, 8], [0, 10], [0, 11], [0, 12], [0, 13],
    [0, 17], [0, 19], [0, 21], [0, 31], [1, 2], [1, 3], [1, 7], [1, 13], [1, 17], [1, 19], [1, 21],
    [1, 30], [2, 3], [2, 7], [2, 8], [2, 9], [2, 13], [2, 27], [2, 28], [2, 32], [3, 7], [3, 12], [3, 13],
    [4, 6], [4, 10], [5, 6], [5, 10], [5, 16], [6, 16], [8, 30], [8, 32], [8, 33], [9, 33], [13, 33],
    [14, 32], [14, 33], [15, 32], [15, 33], [18, 32], [18, 33], [19, 33], [20, 32], [20, 33], [22, 32],
    [22, 33], [23, 25], [23, 27], [23, 29], [23, 32], [23, 33], [24, 25], [24, 27], [24, 31], [25, 31],
    [26, 29], [26, 33], [27, 33], [28, 31], [28, 33], [29, 32], [29, 33], [30, 32], [30, 33], [31, 32],
    [31, 33], [32, 33],
];

/// The half of the club in which each member ended up.
const HALVES: &[u8; 34] = b"0000000001000011001010111111111111";

/// The karate club: features are one-hot, and of the two halves one member each is learnt from, the instructor (0) and the
/// president (33). All others are tested on; there are too few to choose a model by.
///
/// # Errors
/// None: it is part of the program.
pub fn karate_club() -> Result<Graph> {
    let nodes = HALVES.len();
    let (met, _) = utils::to_undirected(&utils::of_pairs(&MET)?, None, nodes)?;
    let known = |node: usize| node == 0 || node == nodes - 1;
    let mask =
        |of: &dyn Fn(usize) -> bool| Tensor::from_vec((0..nodes).map(of).collect::<Vec<bool>>(), nodes);
    let mut graph = Graph::new(met, nodes)?;
    graph.x = Some(Tensor::eye(nodes, nodes, DType::F32)?);
    let halves = HALVES.iter().map(|&half| i64::from(half - b'0')).collect();
    graph.y = Some(Tensor::from_vec(halves, nodes)?);
    graph.train_mask = Some(mask(&known)?);
    graph.test_mask = Some(mask(&|node| !known(node))?);
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_club_has_two_halves() {
        let club = karate_club().unwrap();
        club.validate().unwrap();
        assert_eq!((club.num_nodes, club.num_edges()), (34, 156));
        assert!(club.is_undirected().unwrap());
        assert_eq!((club.num_features(), club.num_classes().unwrap()), (34, 2));
        assert_eq!(club.y().unwrap().sum().unwrap().item::<i64>().unwrap(), 17);
    }
}
