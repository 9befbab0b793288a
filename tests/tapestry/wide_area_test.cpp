// What the wide area does to a mesh: pairs that cannot hear each other, lost messages, nodes that come and go.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "mesh.hpp"
#include "announcement.hpp"

namespace tapestry::testing {
namespace {

struct Tally {
    std::size_t asked = 0;
    std::size_t found = 0;
    std::size_t wrong_none = 0;
    std::size_t unreachable = 0;
    std::vector<double> took;
};

void explain(Mesh& m, NodeIndex f, base::Guid o, NodeIndex h) {
    std::printf("from %u holder %u (connected %d) at %.1f\n", f, h, m.world.network().connected(f, h), std::chrono::duration<double>(m.world.elapsed()).count());
    for (unsigned r = 0; r < 2; ++r) {
        const auto key = root_key(o, r);
        const auto root = m.root_of(key);
        std::printf("  root %u is %u (knows %zu), publisher-root connected %d\n", r, root, m.dolr(root).pointers_to(o).size(), m.world.network().connected(h, root));
        for (auto start : {f, h}) {
        std::printf("    way from %u:", start);
        auto at = start;
        for (int i = 0; i < 6; ++i) {
            auto hops = m.ring(at).next_hops(key, 1);
            if (hops.empty()) { std::printf(" doubt"); break; }
            NodeIndex next = 0;
            for (NodeIndex n = 0; n < m.world.size(); ++n) if (m.id(n) == hops[0].node.id()) next = n;
            std::printf(" -> %u (knows %zu, connected %d, live %d)", next, m.live(next) ? m.dolr(next).pointers_to(o).size() : 0, m.world.network().connected(at, next), m.live(next));
            if (next == at || !m.live(next)) break;
            at = next;
        }
        std::printf("\n");
        }
    }
}

TEST(WideArea, NonTransitivePairsAndLoss) {
    const std::size_t nodes = getenv("N") ? static_cast<std::size_t>(atoi(getenv("N"))) : 500;
    const std::size_t asks = getenv("A") ? static_cast<std::size_t>(atoi(getenv("A"))) : 20000;
    const int seed = getenv("SEED") ? atoi(getenv("SEED")) : 50;
    Mesh mesh{static_cast<std::uint64_t>(seed)};
    mesh.add_directly(nodes);
    std::size_t cuts = 0;
    for (NodeIndex a = 0; a < nodes; ++a) {
        for (NodeIndex b = 0; b < a; ++b) {
            if (mesh.world.rng().unit() < 0.023) mesh.world.network().cut(a, b), ++cuts;
        }
    }
    mesh.world.network().set_loss(0.01);
    std::function<void()> rotate = [&] {
        auto& net = mesh.world.network();
        for (NodeIndex a = 0; a < nodes; ++a) {
            for (NodeIndex b = 0; b < a; ++b) {
                if (!net.connected(a, b)) { if (mesh.world.rng().unit() < 0.2) net.mend(a, b); }
                else if (mesh.world.rng().unit() < 0.023 / 5) net.cut(a, b);
            }
        }
        mesh.world.after(1min, rotate);
    };
    if (getenv("ROT")) mesh.world.after(1min, rotate);
    mesh.world.run_for(10min);
    std::vector<std::pair<base::Guid, NodeIndex>> objects;
    for (std::size_t i = 0; i < 500; ++i) {
        objects.emplace_back(mesh.world.rng().guid(), mesh.random_live());
        mesh.dolr(objects.back().second).publish({objects.back().first});
    }
    mesh.world.run_for(30s);
    Tally tally;
    for (std::size_t i = 0; i < asks; ++i) {
        mesh.world.after(30min * static_cast<std::int64_t>(i) / static_cast<std::int64_t>(asks), [&] {
            const auto& [object, holder] = objects[mesh.world.rng().below(objects.size())];
            const auto from = mesh.random_live();
            if (from == holder) return;
            ++tally.asked;
            mesh.world.node(from).spawn([](Mesh& m, Tally& t, NodeIndex f, base::Guid o, NodeIndex h) -> base::Task<void> {
                const auto began = m.world.now();
                const auto got = co_await m.dolr(f).locate(o, m.world.now() + 20s);
                t.took.push_back(std::chrono::duration<double>(m.world.now() - began).count());
                if (got && got->holders[0].holder.id == m.id(h)) { ++t.found; co_return; }
                explain(m, f, o, h);
                if (got.has_value()) std::printf("??\n");
                else if (got.error() == Errc::not_published) ++t.wrong_none;
                else ++t.unreachable;
            }(mesh, tally, from, object, holder));
        });
    }
    mesh.world.run_for(31min);
    std::ranges::sort(tally.took);
    std::printf("%zu asked, %zu found, %zu wrongly none, %zu unreachable; failed %.4f%%; median %.3f p99 %.3f p999 %.3f max %.3f\n", tally.asked, tally.found,
                tally.wrong_none, tally.unreachable, 100.0 * static_cast<double>(tally.asked - tally.found) / static_cast<double>(tally.asked), tally.took[tally.took.size()/2], tally.took[tally.took.size()*99/100],tally.took[tally.took.size()*999/1000], tally.took.back());
    std::size_t noroot = 0;
    for (auto& [o, h] : objects) for (unsigned r = 0; r < 2; ++r) { auto root = mesh.root_of(root_key(o, r)); if (root != h && mesh.dolr(root).pointers_to(o).empty()) ++noroot; }
    std::printf("roots without pointer %zu of 1000\n", noroot);
}


struct Churn {
    Mesh& mesh;
    double shape;
    std::size_t deaths = 0;
    std::size_t failed_joins = 0;
    std::uint64_t bytes = 0, messages = 0;
    Tally tally;
    struct Live { base::Guid object; NodeIndex node; base::TimePoint since; };
    std::vector<Live> objects;

    base::Duration session() {
        const double mean = 3600;
        const double scale = shape == 1 ? mean : mean / 2;  // Gamma(1 + 1/k)
        return std::chrono::duration_cast<base::Duration>(std::chrono::duration<double>(scale * std::pow(-std::log(1 - mesh.world.rng().unit()), 1 / shape)));
    }
    void publish(NodeIndex node) {
        for (int i = 0; i < 5; ++i) {
            objects.push_back({mesh.world.rng().guid(), node, mesh.world.now()});
            mesh.dolr(node).publish({objects.back().object});
        }
    }
    void dies_later(NodeIndex node) {
        mesh.world.after(session(), [this, node] {
            ++deaths;
            count(node);
            std::erase_if(objects, [&](const Live& l) { return l.node == node; });
            mesh.world.node(node).power_off();
            come();
        });
    }
    void count(NodeIndex node) { bytes += mesh.dolr(node).status().bytes_sent; messages += mesh.dolr(node).status().publishes_sent; }
    void come() {
        NodeIndex seed;
        do seed = mesh.random_live(); while (!mesh.ring(seed).active());
        const auto through = mesh.world.node(seed).address();
        base::Key key{};
        base::Key salt{};
        mesh.world.rng().fill(key);
        mesh.world.rng().fill(salt);
        const auto index = mesh.add({base::SigningKey{key}, salt, mesh.world.network_id()});
        dies_later(index);
        mesh.world.node(index).spawn([](Churn& self, NodeIndex node, base::Address by) -> base::Task<void> {
            for (;;) {
                std::vector<base::Address> seeds{by};
                const auto joined = co_await self.mesh.ring(node).join(std::move(seeds), self.mesh.world.now() + 1min);
                if (joined) break;
                ++self.failed_joins;
                NodeIndex other;
                do other = self.mesh.random_live(); while (!self.mesh.ring(other).active());
                by = self.mesh.world.node(other).address();
            }
            self.mesh.dolr(node).start();
            self.publish(node);
        }(*this, index, through));
    }
    void ask() {
        if (objects.empty()) return;
        const auto pick = objects[mesh.world.rng().below(objects.size())];
        if (mesh.world.now() - pick.since < 10s) return;
        NodeIndex from;
        do from = mesh.random_live(); while (!mesh.ring(from).active());
        if (from == pick.node) return;
        mesh.world.node(from).spawn([](Churn& c, NodeIndex f, Live what) -> base::Task<void> {
            auto& m = c.mesh;
            auto& t = c.tally;
            const auto began = m.world.now();
            const auto got = co_await m.dolr(f).locate(what.object, m.world.now() + 20s);
            if (!m.live(what.node)) co_return;
            ++t.asked;
            t.took.push_back(std::chrono::duration<double>(m.world.now() - began).count());
            if (got) { ++t.found; co_return; }
            const bool none = got.error() == Errc::not_published;
            ++(none ? t.wrong_none : t.unreachable);
            std::printf("%s, age %.1f s, took %.3f s; asker active %d\n", none ? "none" : "unreachable", std::chrono::duration<double>(began - what.since).count(), t.took.back(), m.ring(f).active());
            explain(m, f, what.object, what.node);
        }(*this, from, pick));
    }
};

TEST(WideArea, Churn) {
    const std::size_t nodes = getenv("N") ? static_cast<std::size_t>(atoi(getenv("N"))) : 300;
    const int hours = getenv("H") ? atoi(getenv("H")) : 2;
    const double rate = getenv("R") ? atof(getenv("R")) : 5;
    const double shape = getenv("K") ? atof(getenv("K")) : 1;
    const int seed = getenv("SEED") ? atoi(getenv("SEED")) : 60;
    Mesh mesh{static_cast<std::uint64_t>(seed)};
    mesh.add_directly(nodes);
    Churn churn{mesh, shape};
    for (NodeIndex i = 0; i < nodes; ++i) churn.publish(i), churn.dies_later(i);
    const auto asks = static_cast<std::size_t>(3600 * hours * rate);
    for (std::size_t i = 0; i < asks; ++i) mesh.world.after(std::chrono::duration_cast<base::Duration>(std::chrono::duration<double>(static_cast<double>(i) / rate)), [&] { churn.ask(); });
    mesh.world.run_for(std::chrono::hours{hours} + 30s);
    for (auto n : mesh.live_nodes()) churn.count(n);
    auto& tally = churn.tally;
    std::ranges::sort(tally.took);
    std::size_t pointers = 0;
    for (auto n : mesh.live_nodes()) pointers += mesh.dolr(n).status().pointers;
    const double node_seconds = static_cast<double>(nodes) * 3600 * hours;
    std::printf("k %.1f: %zu deaths, %zu failed joins, %zu live; %zu asked, %zu found, %zu none, %zu unreachable: failed %.2e; median %.3f p99 %.3f p999 %.3f; %.1f B/node/s %.4f msgs/node/s, %zu pointers for %zu objects\n", shape, churn.deaths, churn.failed_joins, mesh.live_nodes().size(),
        tally.asked, tally.found, tally.wrong_none, tally.unreachable, static_cast<double>(tally.asked - tally.found) / static_cast<double>(tally.asked), tally.took[tally.took.size()/2], tally.took[tally.took.size()*99/100],tally.took[tally.took.size()*999/1000],
        static_cast<double>(churn.bytes) / node_seconds, static_cast<double>(churn.messages) / node_seconds, pointers, churn.objects.size());
}

}  // namespace
}  // namespace tapestry::testing
