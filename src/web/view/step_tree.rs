//! The steps of a job as a tree: calls side by side, their branches, the steps in them.
use std::collections::HashMap;

use super::branch::parts;
use crate::store::StepRow;

/// A thing of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// The place of a step in the list of newest attempts.
    Step(usize),
    /// The place of a group.
    Group(usize),
}

/// A call side by side, or one branch of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Group {
    /// The path of the call or of the branch.
    pub(super) path: String,
    /// What it is called.
    pub(super) title: String,
    /// One branch of a call, and not the call.
    pub(super) branch: bool,
    /// What is in it, in order.
    pub(super) children: Vec<Node>,
}

/// The tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree {
    /// What stands at the root, in order.
    pub(super) roots: Vec<Node>,
    /// All groups.
    pub(super) groups: Vec<Group>,
}

/// The tree of steps, given in order.
pub(super) fn tree(steps: &[&StepRow]) -> Tree {
    let mut tree = Tree::default();
    let mut known: HashMap<String, usize> = HashMap::new();
    for (place, step) in steps.iter().enumerate() {
        let mut inside = None;
        for part in parts(&step.branch) {
            let call = part.call.clone();
            let service = part.call == part.path;
            inside = Some(group(&mut tree, &mut known, inside, call, part.kind, false));
            if !service {
                inside = Some(group(&mut tree, &mut known, inside, part.path, part.label, true));
            }
        }
        children(&mut tree, inside).push(Node::Step(place));
    }
    tree
}

fn group(
    tree: &mut Tree,
    known: &mut HashMap<String, usize>,
    inside: Option<usize>,
    path: String,
    title: String,
    branch: bool,
) -> usize {
    if let Some(place) = known.get(&path) {
        return *place;
    }
    let place = tree.groups.len();
    known.insert(path.clone(), place);
    tree.groups.push(Group { path, title, branch, children: Vec::new() });
    children(tree, inside).push(Node::Group(place));
    place
}

fn children(tree: &mut Tree, inside: Option<usize>) -> &mut Vec<Node> {
    match inside {
        Some(place) => &mut tree.groups[place].children,
        None => &mut tree.roots,
    }
}

impl Tree {
    /// The steps below a node, in order.
    pub(super) fn steps(&self, node: &Node, into: &mut Vec<usize>) {
        match node {
            Node::Step(place) => into.push(*place),
            Node::Group(place) => self.groups[*place].children.iter().for_each(|child| self.steps(child, into)),
        }
    }
}
