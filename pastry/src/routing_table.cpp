#include "routing_table.hpp"

#include <algorithm>
#include <utility>

namespace pastry {
namespace {

// Hysteresis: "global sampling, 0.9" (rule 7 of docs/papers.md).
bool clearly_faster(base::Duration a, base::Duration b) { return a * 10 < b * 9; }

}  // namespace

RoutingTable::RoutingTable(base::NodeId self, std::size_t backups) : self_{self}, per_slot_{1 + backups} {}

std::span<const RoutingTable::Entry> RoutingTable::slot(std::size_t row, std::size_t column) const {
    if (row >= rows_.size() || !rows_[row]) return {};
    return (*rows_[row])[column];
}

bool RoutingTable::add(const NodeHandle& node, base::Duration rtt) {
    if (node.id() == self_) return false;
    const auto row = self_.common_prefix(node.id());
    if (row >= rows_.size()) rows_.resize(row + 1);
    if (!rows_[row]) rows_[row] = std::make_unique<Row>();
    Slot& slot = (*rows_[row])[node.id().digit(row)];

    const auto known = std::ranges::find(slot, node.id(), [](const Entry& entry) { return entry.node.id(); });
    const bool fresh = known == slot.end();
    if (!fresh) {
        *known = {node, rtt};
    } else if (slot.size() < per_slot_) {
        if (slot.empty()) slot.reserve(1);  // most slots of the last row never hold a second one
        slot.push_back({node, rtt});
        ++entries_;
    } else if (clearly_faster(rtt, slot.back().rtt)) {
        slot.back() = {node, rtt};
    } else {
        return false;
    }
    // Spares in order of speed; the preferred one stays unless somebody is clearly faster.
    std::stable_sort(slot.begin() + 1, slot.end(), [](const auto& a, const auto& b) { return a.rtt < b.rtt; });
    if (slot.size() > 1 && clearly_faster(slot[1].rtt, slot[0].rtt)) {
        std::swap(slot[0], slot[1]);
        std::stable_sort(slot.begin() + 1, slot.end(), [](const auto& a, const auto& b) { return a.rtt < b.rtt; });
    }
    return fresh;
}

bool RoutingTable::remove(const base::NodeId& node) {
    const auto row = self_.common_prefix(node);
    if (row >= rows_.size() || !rows_[row]) return false;
    const auto gone =
        std::erase_if((*rows_[row])[node.digit(row)], [&](const Entry& entry) { return entry.node.id() == node; });
    entries_ -= gone;
    return gone > 0;
}

const RoutingTable::Entry* RoutingTable::find(const base::NodeId& node) const {
    if (node == self_) return nullptr;
    const auto row = self_.common_prefix(node);
    const auto there = slot(row, node.digit(row));
    const auto found = std::ranges::find(there, node, [](const Entry& entry) { return entry.node.id(); });
    return found == there.end() ? nullptr : &*found;
}

bool RoutingTable::wants(const base::NodeId& node) const {
    if (node == self_ || contains(node)) return false;
    const auto row = self_.common_prefix(node);
    return slot(row, node.digit(row)).size() < per_slot_;
}

std::vector<NodeHandle> RoutingTable::row(std::size_t index) const {
    std::vector<NodeHandle> out;
    for (std::size_t column = 0; column < kColumns; ++column) {
        if (const auto there = slot(index, column); !there.empty()) out.push_back(there.front().node);
    }
    return out;
}

void RoutingTable::for_each(std::size_t first_row, const std::function<void(const Entry&)>& visit) const {
    for (std::size_t row = first_row; row < rows_.size(); ++row) {
        if (!rows_[row]) continue;
        for (const auto& slot : *rows_[row]) {
            for (const auto& entry : slot) visit(entry);
        }
    }
}

}  // namespace pastry
