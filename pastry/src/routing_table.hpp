// Far nodes by prefix: row p holds nodes that share p digits with us, column i those whose next digit is i.
//
// Paper: Rowstron & Druschel 2001, section 2.1; Coulouris Figure 10.7. Each slot keeps the nearest node (by round-trip
// time) first and a few spares behind it. A plain value; rows are allocated when something enters them. Not thread
// safe.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "pastry/kbr.hpp"

namespace pastry {

class RoutingTable {
  public:
    static constexpr std::size_t kRows = base::Guid::kDigits;
    static constexpr std::size_t kColumns = 16;

    struct Entry {
        NodeHandle node;
        base::Duration rtt{};
    };

    /// Keeps 1 + `backups` nodes a slot.
    RoutingTable(base::NodeId self, std::size_t backups);

    /// Enters `node`, or takes over its new round-trip time and endpoint. In a full slot it must beat the slowest. The
    /// first of a slot gives way only to one that is faster by more than a tenth, so that near ties do not flap.
    /// True if `node` was not there and is now.
    bool add(const NodeHandle& node, base::Duration rtt);
    bool remove(const base::NodeId& node);

    [[nodiscard]] bool contains(const base::NodeId& node) const { return find(node) != nullptr; }
    /// Valid until the next call that is not const.
    [[nodiscard]] const Entry* find(const base::NodeId& node) const;
    /// True if `node` is unknown and its slot has room: worth a probe at once. Others are worth a sample now and then.
    [[nodiscard]] bool wants(const base::NodeId& node) const;
    /// True if nobody is known with that prefix and digit (our own digit's slot always is: look one row down).
    [[nodiscard]] bool vacant(std::size_t row, std::size_t column) const { return slot(row, column).empty(); }
    /// First the preferred one. Empty for a vacant slot. Valid until the next call that is not const.
    [[nodiscard]] std::span<const Entry> slot(std::size_t row, std::size_t column) const;

    /// The preferred node of each slot of the row, by column.
    [[nodiscard]] std::vector<NodeHandle> row(std::size_t index) const;
    /// Rows that were ever entered; those beyond are empty.
    [[nodiscard]] std::size_t rows() const { return rows_.size(); }
    [[nodiscard]] std::size_t entries() const { return entries_; }
    /// Calls `visit` for every entry, rows from `first_row` on in order, columns in order, preferred first.
    void for_each(std::size_t first_row, const std::function<void(const Entry&)>& visit) const;

  private:
    using Slot = std::vector<Entry>;
    using Row = std::array<Slot, kColumns>;

    base::NodeId self_;
    std::size_t per_slot_;
    std::size_t entries_ = 0;
    std::vector<std::unique_ptr<Row>> rows_;
};

}  // namespace pastry
