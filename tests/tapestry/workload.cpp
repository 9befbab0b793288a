#include "workload.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "at_share.hpp"

namespace tapestry::testing {

namespace {

bool same_holder(const Located& located, const base::NodeId& holder) {
    return std::ranges::any_of(located.holders, [&](const Location& each) { return each.holder.id == holder; });
}

}  // namespace

double Tally::failed() const {
    return asked == 0 ? 1 : static_cast<double>(asked - found) / static_cast<double>(asked);
}

std::string Tally::text() {
    return fmt::format(
        "{} of {} located ({} wrongly none, {} unreachable: {:.1e}), in {:.3f} s, p99 {:.3f} s, p99.9 {:.3f} s", found,
        asked, none, unreachable, failed(), at_share(seconds, 0.5), at_share(seconds, 0.99), at_share(seconds, 0.999));
}

void Questions::publish(NodeIndex node, std::size_t objects) {
    for (std::size_t i = 0; i < objects; ++i) {
        claims.push_back({mesh_.world.rng().guid(), node, mesh_.world.now()});
        mesh_.dolr(node).publish({claims.back().object});
    }
}

void Questions::gone(NodeIndex node) {
    std::erase_if(claims, [&](const Claim& claim) { return claim.holder == node; });
}

void Questions::ask(std::size_t times, base::Duration span, base::Duration settled) {
    for (std::size_t i = 0; i < times; ++i) {
        const auto when = span * static_cast<std::int64_t>(i) / static_cast<std::int64_t>(times);
        mesh_.world.after(when, [this, settled] { ask_one(settled); });
    }
}

void Questions::ask_one(base::Duration settled) {
    if (claims.empty()) return;
    const auto claim = claims[mesh_.world.rng().below(claims.size())];
    const auto from = mesh_.random_live();
    if (mesh_.world.now() - claim.since < settled || from == claim.holder || !mesh_.ring(from).active()) return;
    mesh_.world.node(from).spawn(locate(from, claim));
}

base::Task<void> Questions::locate(NodeIndex from, Claim claim) {
    const auto begun = mesh_.world.now();
    const auto located = co_await mesh_.dolr(from).locate(claim.object, begun + 20s);
    if (!mesh_.live(claim.holder)) co_return;
    ++tally.asked;
    tally.seconds.push_back(std::chrono::duration<double>(mesh_.world.now() - begun).count());
    if (located && same_holder(*located, mesh_.id(claim.holder))) {
        ++tally.found;
    } else if (!located && located.error() == Errc::not_published) {
        ++tally.none;
    } else {
        ++tally.unreachable;
    }
}

void cut_pairs(Mesh& mesh, double share) {
    for (NodeIndex a = 0; a < mesh.world.size(); ++a) {
        for (NodeIndex b = 0; b < a; ++b) {
            if (mesh.world.rng().unit() < share) mesh.world.network().cut(a, b);
        }
    }
}

void cut_changing_pairs(Mesh& mesh, double share) {
    constexpr double kChange = 0.2;  // of those that are cut, a minute
    auto& network = mesh.world.network();
    for (NodeIndex a = 0; a < mesh.world.size(); ++a) {
        for (NodeIndex b = 0; b < a; ++b) {
            const double drawn = mesh.world.rng().unit();
            if (network.connected(a, b)) {
                if (drawn < share * kChange / (1 - share)) network.cut(a, b);
            } else if (drawn < kChange) {
                network.mend(a, b);
            }
        }
    }
    mesh.world.after(1min, [&mesh, share] { cut_changing_pairs(mesh, share); });
}

// ---- churn

Churn::Churn(Mesh& mesh, Questions& questions, Options options)
    : mesh_{mesh}, questions_{questions}, options_{options} {
    for (NodeIndex node = 0; node < mesh_.world.size(); ++node) {
        questions_.publish(node, options_.objects_a_node);
        dies_later(node);
    }
}

base::Duration Churn::session() {
    const double scale = static_cast<double>(options_.mean_session.count()) / std::tgamma(1 + 1 / options_.shape);
    const double drawn = scale * std::pow(-std::log(1 - mesh_.world.rng().unit()), 1 / options_.shape);
    return std::chrono::duration_cast<base::Duration>(std::chrono::duration<double>{drawn});
}

void Churn::dies_later(NodeIndex node) {
    mesh_.world.after(session(), [this, node] {
        ++deaths;
        add_cost(dead_, node);
        questions_.gone(node);
        mesh_.world.node(node).power_off();
        come();
    });
}

base::Address Churn::somebody() {
    for (;;) {
        const auto index = mesh_.random_live();
        if (mesh_.ring(index).active()) return mesh_.world.node(index).address();
    }
}

void Churn::come() {
    base::Key seed{};
    base::Key salt{};
    mesh_.world.rng().fill(seed);
    mesh_.world.rng().fill(salt);
    const auto node = mesh_.add({base::SigningKey{seed}, salt, mesh_.world.network_id()});
    dies_later(node);
    mesh_.world.node(node).spawn(enter(node));
}

base::Task<void> Churn::enter(NodeIndex node) {
    for (;;) {
        std::vector<base::Address> through{somebody()};
        const auto joined = co_await mesh_.ring(node).join(std::move(through), mesh_.world.now() + 1min);
        if (joined) break;
    }
    mesh_.dolr(node).start();
    questions_.publish(node, options_.objects_a_node);
}

void Churn::add_cost(Cost& cost, NodeIndex node) {
    const auto status = mesh_.dolr(node).status();
    cost.bytes += status.bytes_sent;
    cost.messages += status.publishes_sent;
}

Churn::Cost Churn::cost() {
    auto all = dead_;
    for (const auto node : mesh_.live_nodes()) add_cost(all, node);
    return all;
}

// ---- whole runs

Tally locates_with_bad_pairs(std::uint64_t seed, std::size_t nodes, std::size_t questions, bool changing) {
    Mesh mesh{seed};
    mesh.add_directly(nodes);
    cut_pairs(mesh, 0.023);
    if (changing) cut_changing_pairs(mesh, 0.023);
    mesh.world.network().set_loss(0.01);
    mesh.world.run_for(5min);
    Questions asking{mesh};
    for (std::size_t i = 0; i < nodes; ++i) asking.publish(mesh.random_live(), 1);
    mesh.world.run_for(30s);
    asking.ask(questions, 15min);
    mesh.world.run_for(15min + 30s);
    return std::move(asking.tally);
}

Lived locates_under_churn(std::uint64_t seed, std::size_t nodes, std::chrono::minutes span, std::size_t questions,
                          double shape) {
    Mesh mesh{seed};
    mesh.add_directly(nodes);
    Questions asking{mesh};
    Churn churn{mesh, asking, {.shape = shape}};
    mesh.world.run_for(30s);
    asking.ask(questions, span - 1min, 10s);
    mesh.world.run_for(span - 30s);
    const auto cost = churn.cost();
    const double node_seconds = static_cast<double>(nodes) * std::chrono::duration<double>(span).count();
    return {std::move(asking.tally), churn.deaths, mesh.live_nodes().size(),
            static_cast<double>(cost.bytes) / node_seconds, static_cast<double>(cost.messages) / node_seconds};
}

std::string Lived::text() {
    return fmt::format("{} deaths; {}; republishing {:.0f} bytes and {:.2f} messages a node and second", deaths,
                       tally.text(), bytes, messages);
}

}  // namespace tapestry::testing
