#include "cluster.hpp"

#include <algorithm>

#include "base/codec.hpp"
#include "base/error.hpp"

namespace past::test {

using base::Guid;
using base::Result;
using base::Task;
using pastry::NodeHandle;

void FixedRing::change(const NodeHandle& node, bool live, base::TimePoint now) {
    auto [entry, fresh] = members_.try_emplace(node.id(), Member{node, live, now});
    live_.clear();
    if (!fresh && entry->second.live == live) return;
    entry->second.live = live;
    entry->second.since = now;
    const auto applications = applications_;
    for (const auto& [id, application] : applications) {
        if (id != node.id()) application->update(node, live);
    }
}

std::vector<NodeHandle> FixedRing::nearest(const Guid& key, std::size_t count) const {
    if (live_.empty()) {
        for (const auto& [id, member] : members_) {
            if (member.live) live_.push_back(member.node);
        }
    }
    std::vector<NodeHandle> nodes;
    const auto total = live_.size();
    const auto each_side = std::min(count, total);
    const auto at =
        std::ranges::lower_bound(live_, key, {}, [](const auto& node) { return node.id(); }) - live_.begin();
    const auto span = std::min(total, 2 * each_side);
    for (std::size_t i = 0; i < span; ++i) {
        nodes.push_back(live_[(static_cast<std::size_t>(at) + total - each_side + i) % total]);
    }
    std::ranges::sort(nodes, [&](const auto& a, const auto& b) { return base::closer(key, a.id(), b.id()); });
    nodes.resize(std::min(nodes.size(), count));
    return nodes;
}

std::vector<NodeHandle> FixedKbr::replica_set(const Guid& key, std::size_t count) const {
    if (reach_ < ring_.members().size()) {
        const auto near = ring_.nearest(key, reach_);
        const bool covered = std::ranges::any_of(near, [&](const auto& node) { return node.id() == self_.id(); });
        if (!covered) return {};
    }
    return ring_.nearest(key, count);
}

Task<Result<std::vector<NodeHandle>>> FixedKbr::find_replica_set(Guid key, std::size_t count,
                                                                 base::TimePoint deadline) {
    const auto found_at = env_.clock.now() + ring_.lookup_takes;
    co_await env_.clock.sleep_until(std::min(found_at, deadline));
    if (found_at > deadline) co_return base::Errc::timed_out;
    co_return ring_.nearest(key, count);
}

std::vector<NodeHandle> FixedKbr::neighbours() const {
    auto nodes = ring_.nearest(self_.id(), 33);
    std::erase_if(nodes, [&](const auto& node) { return node.id() == self_.id(); });
    return nodes;
}

std::vector<pastry::AbsentNode> FixedKbr::absent() const {
    std::vector<pastry::AbsentNode> absent;
    for (const auto& [id, member] : ring_.members()) {
        if (!member.live && id != self_.id()) absent.push_back({member.node, member.since});
    }
    return absent;
}

PeerProcess::PeerProcess(base::NodeEnv& env, std::shared_ptr<FixedRing> ring, const sim::Node& machine,
                         base::Policy policy, base::Roster roster, std::vector<base::Address> seeds, Options options)
    : membership{std::move(policy), std::move(roster)}, env_{env}, tasks_{env.executor} {
    NodeHandle self{machine.address(), machine.certificate().failure_domain};
    if (options.overlay) {
        kbr = std::make_unique<pastry::Node>(env, self, *options.overlay);
    } else {
        kbr = std::make_unique<FixedKbr>(env, std::move(ring), self, options.reach);
    }
    tapestry::Identity identity{machine.key(), machine.certificate().salt, membership.roster().network};
    tasks_.spawn(open(std::move(options), std::move(identity), std::move(seeds)));
}

PeerProcess::~PeerProcess() = default;

Task<void> PeerProcess::open(Options options, tapestry::Identity identity, std::vector<base::Address> seeds) {
    auto opened = co_await SegmentStore::open(env_, std::move(options.store));
    if (!opened) {
        failure = opened.error().message();
        co_return;
    }
    store = std::move(*opened);
    node = std::make_unique<Node>(env_, *kbr, *store, membership, &verify_record, options.config);
    if (!options.overlay) co_return;
    const auto is_member = [this](const base::NodeId& other) { return membership.roster().find(other) != nullptr; };
    location = std::make_unique<tapestry::Node>(env_, *kbr, identity, is_member);
    node->use(location.get());
    const auto deadline = env_.clock.now() + 1h;
    auto& overlay = static_cast<pastry::Node&>(*kbr);
    const auto joined = co_await overlay.join(std::move(seeds), deadline, pastry::Node::IfAllWait::found);
    if (!joined) failure = joined.error().message();
    if (joined) location->start();
}

Block make_block(std::uint64_t number, std::size_t size) {
    static std::map<std::pair<std::uint64_t, std::size_t>, Block> made;  // the same ids are asked for all the time
    const auto known = made.find({number, size});
    if (known != made.end()) return known->second;
    base::Writer seed;
    seed.text("test block").u64(number);
    base::Bytes bytes;
    for (std::uint64_t i = 0; bytes.size() < size; ++i) {
        base::Writer more;
        more.raw(seed.view()).u64(i);
        const auto hash = base::sha256(more.view());
        bytes.insert(bytes.end(), hash.bytes().begin(), hash.bytes().end());
    }
    bytes.resize(size);
    const auto id = base::sha256(bytes);
    Block block{id, base::SharedBytes{std::move(bytes)}};
    if (made.size() < 10'000) made[{number, size}] = block;
    return block;
}

Guid group_of(std::uint64_t number) {
    base::Writer out;
    out.text("test place").u64(number);
    return base::sha256(out.view());
}

Tag test_tag() { return {group_of(1'000'000), kGeneration}; }

Cluster::Cluster(sim::World& world_in, ClusterOptions options_in) : world{world_in}, options{std::move(options_in)} {
    policy_.version = 1;
    policy_.copies = static_cast<std::uint8_t>(options.copies);
    policy_.min_copies = static_cast<std::uint8_t>(options.min_copies);
    policy_.repair_after = options.repair_after;
    policy_.reclaim_grace = options.reclaim_grace;
    for (std::size_t i = 0; i < options.peers; ++i) {
        sim::NodeOptions machine;
        machine.disk.capacity_bytes = options.disk_bytes;
        if (i < options.domains.size()) machine.failure_domain = options.domains[i];
        nodes.push_back(world.add_node(std::move(machine)).index());
        ring.join(handle(i), world.now());
    }
    for (std::size_t i = 0; i < options.peers; ++i) boot(i);
    world.run_for(5s);
    if (options.peer.overlay) {
        const bool joined = world.run_until(
            [this] {
                for (std::size_t i = 0; i < nodes.size(); ++i) {
                    if (!peer(i).ready()) return false;
                }
                return true;
            },
            10min);
        EXPECT_TRUE(joined) << "the ring did not come together";
        world.run_for(30s);
    }
}

NodeHandle Cluster::handle(std::size_t index) {
    auto& node = machine(index);
    return {node.address(), node.certificate().failure_domain};
}

void Cluster::boot(std::size_t index) {
    auto* cluster = this;
    auto* node = &machine(index);
    node->start([cluster, node, index](base::NodeEnv& env) {
        auto peer_options = cluster->options.peer;
        if (cluster->options.adjust) cluster->options.adjust(index, peer_options);
        std::vector<base::Address> seeds;
        for (const auto other : cluster->nodes) seeds.push_back(cluster->world.node(other).address());
        return std::make_unique<PeerProcess>(env, cluster->shared_ring, *node, cluster->policy_, cluster->roster(),
                                             std::move(seeds), peer_options);
    });
}

std::size_t Cluster::add_peer(std::string domain) {
    sim::NodeOptions machine_options;
    machine_options.failure_domain = std::move(domain);
    machine_options.disk.capacity_bytes = options.disk_bytes;
    nodes.push_back(world.add_node(std::move(machine_options)).index());
    const auto index = nodes.size() - 1;
    spread_roster();
    boot(index);
    ring.join(handle(index), world.now());
    return index;
}

void Cluster::spread_roster() {
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        if (machine(i).running()) tell(i);
    }
}

base::Roster Cluster::roster() const {
    auto roster = world.roster();
    for (auto& member : roster.members) {
        member.revoked = removed_.contains(member.id);
        member.draining = draining_.contains(member.id) && !member.revoked;
    }
    return roster;
}

bool Cluster::drained(std::size_t index) {
    const auto status = node(index).status();
    return status.draining && status.blocks_to_drain == 0 && status.records_to_drain == 0;
}

void Cluster::kill(std::size_t index) {
    const auto gone = handle(index);
    machine(index).kill();
    world.after(options.notice, [this, gone] { ring.leave(gone, world.now()); });
}

void Cluster::power_off(std::size_t index, sim::PowerLoss loss) {
    const auto gone = handle(index);
    machine(index).power_off(loss);
    world.after(options.notice, [this, gone] { ring.leave(gone, world.now()); });
}

void Cluster::restart(std::size_t index) {
    const auto back = handle(index);
    machine(index).restart();
    world.after(options.notice, [this, back] { ring.join(back, world.now()); });
}

void Cluster::follow_deaths() {
    seen_up_.assign(nodes.size(), true);
    world.spawn(watch());
}

Task<void> Cluster::watch() {
    for (;;) {
        co_await world.env().clock.sleep_for(options.notice);
        for (std::size_t i = 0; i < nodes.size(); ++i) {
            const bool up = machine(i).up() && !machine(i).paused();
            if (i < seen_up_.size() && seen_up_[i] != up) {
                up ? ring.join(handle(i), world.now()) : ring.leave(handle(i), world.now());
                seen_up_[i] = up;
            }
        }
    }
}

Result<PutOutcome> Cluster::put(std::size_t from, std::uint64_t number, Wait wait, std::size_t size) {
    return put(from, group_of(number), {make_block(number, size)}, wait);
}

Result<PutOutcome> Cluster::put(std::size_t from, const Guid& group, std::vector<Block> blocks, Wait wait) {
    auto outcome = machine(from).run(node(from).put(group, test_tag(), std::move(blocks), wait, in(30s)));
    return outcome ? *outcome : Result<PutOutcome>{base::Errc::stopped};
}

Result<base::SharedBytes> Cluster::get(std::size_t from, std::uint64_t number, std::size_t size) {
    auto bytes = machine(from).run(node(from).get(group_of(number), make_block(number, size).id, in(30s)));
    return bytes ? *bytes : Result<base::SharedBytes>{base::Errc::stopped};
}

std::vector<std::size_t> Cluster::holders_of(std::uint64_t number) {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        if (machine(i).running() && peer(i).ready() && peer(i).store->has(make_block(number).id)) found.push_back(i);
    }
    return found;
}

std::size_t Cluster::copies(std::uint64_t number) { return holders_of(number).size(); }

NodeStatus Cluster::total() {
    NodeStatus sum;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        if (!machine(i).running() || !peer(i).ready()) continue;
        const auto one = node(i).status();
        sum.blocks += one.blocks;
        sum.blocks_ours += one.blocks_ours;
        sum.blocks_whole += one.blocks_whole;
        sum.blocks_moving += one.blocks_moving;
        sum.blocks_short += one.blocks_short;
        sum.blocks_unchecked += one.blocks_unchecked;
        sum.blocks_to_hand_over += one.blocks_to_hand_over;
        sum.blocks_surplus += one.blocks_surplus;
        sum.backlog_blocks += one.backlog_blocks;
        sum.blocks_diverted += one.blocks_diverted;
        sum.blocks_for_others += one.blocks_for_others;
        sum.blocks_taken_home += one.blocks_taken_home;
        sum.bytes_diverted += one.bytes_diverted;
        sum.blocks_lost += one.blocks_lost;
        sum.bytes_put += one.bytes_put;
        sum.bytes_repaired += one.bytes_repaired;
        sum.bytes_handed_over += one.bytes_handed_over;
        sum.blocks_repaired += one.blocks_repaired;
        sum.blocks_handed_over += one.blocks_handed_over;
        sum.blocks_discarded += one.blocks_discarded;
        sum.wrong_blocks += one.wrong_blocks;
        sum.corrupt_blocks += one.corrupt_blocks;
        sum.requests_sent += one.requests_sent;
        sum.hedged_gets += one.hedged_gets;
    }
    return sum;
}

bool Cluster::whole() {
    const auto sum = total();
    return sum.blocks_short == 0 && sum.blocks_unchecked == 0 && sum.backlog_blocks == 0;
}

}  // namespace past::test
