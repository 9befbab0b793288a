// The far nodes: lazy repair on use, an exchange of rows now and then, distance probes within a budget.
//
// Rowstron & Druschel 2001, sections 2.4 and 2.5; rule 7 of the lessons: a slot is filled by any match first and
// improved in the background, with hysteresis.
#include <algorithm>
#include <utility>

#include "router.hpp"

namespace pastry {

void Router::consider_far(const NodeHandle& node) {
    if (node.address.endpoint.empty() || failed_.contains(node.id()) || !table_.wants(node.id())) return;
    if (probes_.find(node.id()) != nullptr || candidates_.size() >= config_.max_candidates) return;
    const bool waiting = std::ranges::any_of(candidates_, [&](const auto& each) { return each.id() == node.id(); });
    if (!waiting) candidates_.push_back(node);
}

void Router::probe_candidates() {
    while (!candidates_.empty() && probes_.count(Reason::distance) < config_.max_distance_probes) {
        const NodeHandle node = std::move(candidates_.front());
        candidates_.pop_front();
        if (!failed_.contains(node.id())) probe(node, Reason::distance);
    }
}

void Router::on_row_request(const NodeHandle& from, const RowRequest& request) {
    Row row{.row = request.row, .nodes = table_.row(request.row)};
    send(from.address, std::move(row));
}

void Router::on_row(const Row& row) {
    for (const auto& node : row.nodes) consider_far(node);
    // Of those whose slots are full here, a few are measured all the same: one may be nearer.
    if (row.nodes.empty()) return;
    for (int sample = 0; sample < 2; ++sample) {
        const auto& node = row.nodes[draw() % row.nodes.size()];
        const bool new_to_us = node.id() != self_.id() && !table_.contains(node.id()) && !failed_.contains(node.id());
        if (new_to_us && probes_.count(Reason::distance) < config_.max_distance_probes) probe(node, Reason::distance);
    }
}

// A slot has become vacant: others of its row know nodes with the same prefix (section 2.4), else the row below does.
void Router::repair_row(std::size_t row) {
    const auto found = row_repaired_.find(row);
    if (found != row_repaired_.end() && now_ - found->second < config_.heartbeat_interval) return;
    row_repaired_[row] = now_;
    for (std::size_t from = row; from < table_.rows() && from <= row + 1; ++from) {
        const auto nodes = table_.row(from);
        if (nodes.empty()) continue;
        send(nodes[draw() % nodes.size()].address, RowRequest{.row = static_cast<std::uint32_t>(row)});
        return;
    }
}

// Each row once an interval, with a random node of that row.
void Router::exchange_rows() {
    if (now_ < row_exchange_due_) return;
    const auto rows = std::max<std::size_t>(table_.rows(), 1);
    row_exchange_due_ = now_ + jittered(config_.table_exchange_interval / static_cast<std::int64_t>(rows));
    for (std::size_t tried = 0; tried < table_.rows(); ++tried) {
        const auto row = row_exchange_turn_++ % table_.rows();
        const auto nodes = table_.row(row);
        if (nodes.empty()) continue;
        send(nodes[draw() % nodes.size()].address, RowRequest{.row = static_cast<std::uint32_t>(row)});
        return;
    }
}

}  // namespace pastry
