//! The list of the pages of a PDF file.
//!
//! The list is a tree whose nodes have few children each, so that no reader has to read a long list
//! before the first page is shown. A node is written as soon as it is full. So of each level of the
//! tree one node is in memory.

use std::io::{self, Write};

use pdf_writer::Ref;

use super::document::Document;

/// How many children a node has at most.
const CHILDREN: usize = 64;

/// The pages so far.
pub(super) struct PageTree {
    /// The node that is being filled of each level, the lowest first. Never empty.
    levels: Vec<Node>,
}

struct Node {
    id: Ref,
    children: Vec<Ref>,
    /// How many pages are below it.
    pages: i32,
}

impl Node {
    fn new<W: Write>(document: &mut Document<W>) -> io::Result<Self> {
        Ok(Self {
            id: document.reserve()?,
            children: Vec::with_capacity(CHILDREN),
            pages: 0,
        })
    }
}

impl PageTree {
    pub(super) fn new<W: Write>(document: &mut Document<W>) -> io::Result<Self> {
        Ok(Self {
            levels: vec![Node::new(document)?],
        })
    }

    /// Adds a page after the others. Returns the node that the page has to name as its parent.
    pub(super) fn add<W: Write>(
        &mut self,
        document: &mut Document<W>,
        page: Ref,
    ) -> io::Result<Ref> {
        self.add_at(document, 0, page, 1)?;
        Ok(self.levels[0].id)
    }

    /// Writes all nodes that are left. Returns the top of the tree.
    pub(super) fn finish<W: Write>(mut self, document: &mut Document<W>) -> io::Result<Ref> {
        let mut level = 0;
        while level + 1 < self.levels.len() {
            self.close(document, level)?;
            level += 1;
        }
        let top = self.levels.remove(level);
        write(document, &top, None)?;
        Ok(top.id)
    }

    fn add_at<W: Write>(
        &mut self,
        document: &mut Document<W>,
        level: usize,
        child: Ref,
        pages: i32,
    ) -> io::Result<()> {
        if self.levels[level].children.len() == CHILDREN {
            self.close(document, level)?;
            self.levels[level] = Node::new(document)?;
        }
        let node = &mut self.levels[level];
        node.children.push(child);
        node.pages += pages;
        Ok(())
    }

    /// Writes the node of this level as a child of the one above it.
    fn close<W: Write>(&mut self, document: &mut Document<W>, level: usize) -> io::Result<()> {
        if level + 1 == self.levels.len() {
            self.levels.push(Node::new(document)?);
        }
        let (id, pages) = (self.levels[level].id, self.levels[level].pages);
        self.add_at(document, level + 1, id, pages)?;
        write(
            document,
            &self.levels[level],
            Some(self.levels[level + 1].id),
        )
    }
}

fn write<W: Write>(document: &mut Document<W>, node: &Node, parent: Option<Ref>) -> io::Result<()> {
    document.write(node.id, |object| {
        let mut pages = object.pages(node.id);
        if let Some(parent) = parent {
            pages.parent(parent);
        }
        pages.count(node.pages);
        pages.kids(node.children.iter().copied());
    })
}
