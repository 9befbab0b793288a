// The nodes nearest to us on the ring: who takes over our keys if we die.
//
// Paper: Rowstron & Druschel 2001, section 2.1. Where we differ: docs/papers.md, "Pastry". A plain value: reads no
// clock, sends nothing. Not thread safe; one Router owns it.
//
// The set knows how far its knowledge reaches. It is *converged* while nobody is missing from it. When a node is
// removed the reach of that side stays where it was, until repair has found who comes next and set_converged() is
// called; what lies beyond is unknown, never "nobody". So a set that lost half its members still answers exactly, or
// says it cannot.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "pastry/kbr.hpp"

namespace pastry {

enum class Side { clockwise, counter_clockwise };

class LeafSet {
  public:
    /// Keeps up to `per_side` nodes each way (|L|/2 in the paper). Not converged at first. Requires: per_side >= 1.
    LeafSet(NodeHandle self, std::size_t per_side);

    /// Adds `node` if it is nearer than the farthest on its side, or a side is not full. True if the set changed;
    /// adding ourselves or a known node changes nothing (but takes over a new endpoint).
    bool add(const NodeHandle& node);
    /// True if it was there. The side it leaves is short (not converged) unless the set holds the whole ring.
    bool remove(const base::NodeId& node);

    /// True if add() would take `node`, even after all of `hoped` had been added.
    [[nodiscard]] bool would_add(const base::NodeId& node, std::span<const base::NodeId> hoped = {}) const;
    [[nodiscard]] const NodeHandle* find(const base::NodeId& node) const;
    [[nodiscard]] bool contains(const base::NodeId& node) const { return find(node) != nullptr; }

    [[nodiscard]] const NodeHandle& self() const { return self_; }
    /// Nearest first. Valid until the next call that is not const.
    [[nodiscard]] std::span<const NodeHandle> side(Side which) const { return at(which).nodes; }
    /// The neighbour that we send heartbeats to; nullptr if we know of nobody.
    [[nodiscard]] const NodeHandle* left() const { return counter_clockwise_.first(); }
    /// The neighbour whose heartbeats we expect.
    [[nodiscard]] const NodeHandle* right() const { return clockwise_.first(); }
    /// All of them, each once, nearest first.
    [[nodiscard]] std::vector<NodeHandle> members() const;
    /// The same in the order of the sides, which costs less.
    [[nodiscard]] std::vector<NodeHandle> everybody() const;
    [[nodiscard]] bool empty() const { return clockwise_.nodes.empty() && counter_clockwise_.nodes.empty(); }
    [[nodiscard]] std::size_t per_side() const { return per_side_; }

    [[nodiscard]] bool converged() const { return clockwise_.converged && counter_clockwise_.converged; }
    [[nodiscard]] bool converged(Side which) const { return at(which).converged; }
    /// Nobody is missing: the farthest of each side, or the whole ring, bounds what we know.
    void set_converged();
    /// Forgets how far the knowledge reached, not the nodes: after a stall.
    void set_unconverged();
    /// The farthest node of a short side within the old reach: it knows who comes next. nullptr if all of them died.
    [[nodiscard]] const NodeHandle* last_certain(Side which) const;

    /// True if we know every node of the ring.
    [[nodiscard]] bool wraps() const;
    /// True if the node nearest to `key` must be one of these or ourselves, as far as our knowledge reaches.
    [[nodiscard]] bool covers(const base::Guid& key) const;
    /// The live node nearest to `key`, perhaps ourselves; nullptr if there may be a nearer one that we do not know.
    [[nodiscard]] const NodeHandle* root(const base::Guid& key) const;
    /// The `count` nodes nearest to `key`, nearest first, with ourselves. Empty if others that we do not know might be
    /// among them; fewer than `count` only if the ring is that small.
    [[nodiscard]] std::vector<NodeHandle> closest(const base::Guid& key, std::size_t count) const;

  private:
    struct Half {
        std::vector<NodeHandle> nodes;  // sorted by distance from self_, no duplicates
        std::vector<base::Guid> far;    // their distances: what every search compares
        bool converged = false;
        base::Guid horizon;  // how far we know everybody, while not converged
        [[nodiscard]] const NodeHandle* first() const { return nodes.empty() ? nullptr : &nodes.front(); }
    };

    [[nodiscard]] const Half& at(Side which) const {
        return which == Side::clockwise ? clockwise_ : counter_clockwise_;
    }
    [[nodiscard]] Half& at(Side which) { return which == Side::clockwise ? clockwise_ : counter_clockwise_; }
    [[nodiscard]] base::Guid distance(Side which, const base::Guid& to) const;
    [[nodiscard]] std::size_t place(Side which, const base::Guid& far) const;
    [[nodiscard]] base::Guid reach(Side which) const;
    [[nodiscard]] const NodeHandle* root_on(Side which, const base::Guid& key) const;
    [[nodiscard]] bool beyond_doubt(const base::Guid& key, const base::Guid& farthest_chosen) const;
    bool add_to(Side which, const NodeHandle& node);
    bool remove_from(Side which, const base::NodeId& node);
    void fill_from_each_other();

    NodeHandle self_;
    std::size_t per_side_;
    Half clockwise_;
    Half counter_clockwise_;
};

}  // namespace pastry
