#include "change.hpp"

namespace past::test {

void Meter::watch(Cluster& cluster, std::size_t index) {
    const auto node = cluster.nodes[index];
    cluster.world.network().set_liar(node, [counts = counts_, node, index](sim::Letter& letter) {
        if (letter.kind != sim::Letter::Kind::request || letter.to != node || !letter.content) return;
        if (letter.content->service() != base::Service::past) return;
        if (letter.content->verb() != static_cast<std::uint8_t>(Verb::store)) return;
        const auto request = decode<StoreRequest>(letter.content->header);
        if (!request) return;
        const auto bytes = letter.content->payload.size();
        if (request->cause == Cause::put) {
            counts->put += bytes;
            return;
        }
        (request->cause == Cause::repair ? counts->repaired : counts->handed_over) += bytes;
        counts->moved_to[index] += bytes;
    });
}

std::uint64_t Meter::moved_to(std::size_t first, std::size_t last) const {
    std::uint64_t sum = 0;
    for (const auto& [index, bytes] : counts_->moved_to) {
        if (index >= first && index <= last) sum += bytes;
    }
    return sum;
}

ClusterOptions Story::cluster_options(const Options& options) {
    ClusterOptions out;
    out.peers = options.peers;
    out.repair_after = options.repair_after;
    out.peer.store.capacity_bytes = options.capacity_bytes;
    if (options.tune) options.tune(out);
    return out;
}

Story::Story(sim::World& world_in, Options options_in)
    : options{std::move(options_in)}, world{world_in}, cluster{world, cluster_options(options)} {
    fewest_disks_ = cluster.options.copies;
    for (std::size_t i = 0; i < options.peers; ++i) meter.watch(cluster, i);
    for (std::size_t i = 0; i < options.blocks; ++i) EXPECT_TRUE(write(Wait::full));
    // Long enough for the peers to have known each other for a while.
    world.run_for(std::min<base::Duration>(options.repair_after, 15min));
    EXPECT_TRUE(comes_to_rest(10min));
    EXPECT_EQ(meter.moved(), 0U);
    stored_bytes_ = std::exchange(written_bytes_, 0);
    world.network().reset_counters();
    begun_ = world.now();
}

bool Story::write(Wait wait) {
    const auto number = next_number_++;
    const auto block = make_block(number, options.block_bytes);
    const Kept kept{number, group_of(number % options.groups), block.id};
    const auto outcome = cluster.put(somebody(), kept.group, {block}, wait);
    if (!outcome) return false;
    written_bytes_ += block.bytes.size();
    if (outcome->copies_stored == cluster.options.copies) kept_.push_back(kept);
    return outcome->copies_stored == cluster.options.copies;
}

/// A peer that can be asked; the first one never dies.
std::size_t Story::somebody() {
    const auto index = world.rng().below(cluster.nodes.size());
    return cluster.machine(index).running() && cluster.peer(index).ready() ? index : 0;
}

std::size_t Story::live_copies(const Kept& kept) {
    std::size_t copies = 0;
    for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
        if (cluster.machine(i).running() && cluster.peer(i).ready() && cluster.peer(i).store->has(kept.id)) ++copies;
    }
    return copies;
}

void Story::read_one(const Kept& kept) {
    if (live_copies(kept) == 0) return;
    const auto from = somebody();
    const auto bytes = cluster.machine(from).run(cluster.node(from).get(kept.group, kept.id, cluster.in(30s)));
    const bool died_meanwhile = !bytes.has_value();
    if (died_meanwhile || *bytes) return;
    if (live_copies(kept) == 0) return;
    ++unreadable_;
    std::printf("%.0f s: peer %zu does not get block %llu, of which there are %zu copies: %s\n",
                std::chrono::duration<double>(world.elapsed()).count(), from,
                static_cast<unsigned long long>(kept.number), live_copies(kept), bytes->error().message().c_str());
}

void Story::count_disks(const Kept& kept) {
    auto disks = live_copies(kept);
    for (const auto& [index, ids] : down_) {
        const bool starting = cluster.machine(index).running();
        if (ids.contains(kept.id) && !(starting && cluster.peer(index).ready())) ++disks;
    }
    fewest_disks_ = std::min(fewest_disks_, disks);
}

void Story::live(base::Duration span, const std::function<void()>& step) {
    const auto end = world.now() + span;
    auto next_write = world.now() + options.write_every;
    while (world.now() < end) {
        const auto next = std::min(end, world.now() + 1s);
        if (step) step();
        if (options.write_every > 0s && world.now() >= next_write) {
            (void)write(Wait::full);
            next_write += options.write_every;
        }
        for (int i = 0; i < 20; ++i) count_disks(kept_[world.rng().below(kept_.size())]);
        read_one(kept_[world.rng().below(kept_.size())]);
        if (world.now() < next) world.run_for(next - world.now());
    }
}

bool Story::comes_to_rest(base::Duration limit) {
    const auto end = world.now() + limit;
    do {
        const bool copies =
            std::ranges::all_of(kept_, [&](const Kept& kept) { return live_copies(kept) >= cluster.options.copies; });
        if (copies && cluster.whole()) return true;
        world.run_for(1s);
    } while (world.now() < end);
    return false;
}

bool Story::all_in_place(base::Duration limit) {
    const auto end = world.now() + limit;
    do {
        const auto sum = cluster.total();
        if (sum.blocks_moving + sum.blocks_to_hand_over == 0 && cluster.whole()) return true;
        world.run_for(1s);
    } while (world.now() < end);
    return false;
}

std::size_t Story::lost() {
    return static_cast<std::size_t>(
        std::ranges::count_if(kept_, [&](const Kept& kept) { return live_copies(kept) == 0; }));
}

std::uint64_t Story::control_bytes() {
    std::uint64_t sent = 0;
    for (const auto node : cluster.nodes) sent += world.network().traffic(node).bytes_sent;
    return sent;
}

void Story::kill(std::size_t index, bool for_good) {
    auto& ids = down_[index];
    ids.clear();
    if (!for_good && cluster.machine(index).running() && cluster.peer(index).ready()) {
        for (const auto& kept : kept_) {
            if (cluster.peer(index).store->has(kept.id)) ids.insert(kept.id);
        }
    }
    cluster.kill(index);
}

void Story::restart(std::size_t index) { cluster.restart(index); }

std::size_t Story::join() {
    const auto index = cluster.add_peer();
    meter.watch(cluster, index);
    return index;
}

// --- the stories

namespace {

void toggle(Story& story, std::size_t index) {
    auto& machine = story.cluster.machine(index);
    if (machine.up()) {
        story.kill(index);
    } else {
        story.restart(index);
    }
}

void bring_all_back(Story& story) {
    for (std::size_t i = 0; i < story.cluster.nodes.size(); ++i) {
        if (!story.cluster.machine(i).up()) story.restart(i);
    }
}

}  // namespace

void flap(Story& story, base::Duration lasts, base::Duration period) {
    const auto flapping = std::max<std::size_t>(1, story.options.peers / 10);
    auto next = story.world.now();
    story.live(lasts, [&] {
        if (story.world.now() < next) return;
        next += period / 2;
        for (std::size_t i = 1; i <= flapping; ++i) toggle(story, i);
    });
    bring_all_back(story);
}

void restart_everywhere(Story& story, base::Duration lasts) {
    const auto share = std::max<std::size_t>(1, story.options.peers / 10);
    auto next = story.world.now();
    story.live(lasts, [&] {
        if (story.world.now() < next) return;
        next += 5s;
        std::vector<std::size_t> down;
        for (std::size_t i = 1; i < story.options.peers; ++i) {
            if (!story.cluster.machine(i).up()) down.push_back(i);
        }
        for (const auto index : down) story.restart(index);
        if (!down.empty()) return;
        for (std::size_t i = 0; i < share; ++i) {
            const auto victim = 1 + story.world.rng().below(story.options.peers - 1);
            if (story.cluster.machine(victim).up()) story.kill(victim);
        }
    });
    bring_all_back(story);
}

void join_in_numbers(Story& story, base::Duration lasts) {
    for (std::size_t i = 0; i < story.options.peers / 2; ++i) story.join();
    story.live(lasts);
}

void go_away(Story& story, base::Duration away, base::Duration back) {
    story.kill(1);
    story.live(away);
    story.restart(1);
    story.live(back);
}

void come_and_go(Story& story, base::Duration lasts, base::Duration each) {
    std::size_t transient = 0;
    auto next = story.world.now();
    const auto middle = next + lasts / 2;
    bool one_died = false;
    story.live(lasts, [&] {
        if (!one_died && story.world.now() >= middle) {
            one_died = true;
            story.kill(1, true);
        }
        if (story.world.now() < next) return;
        next += each;
        if (transient != 0) story.kill(transient, true);
        transient = story.join();
    });
    if (transient != 0) story.kill(transient, true);
}

void newcomer_flaps(Story& story, base::Duration lasts, base::Duration period) {
    const auto newcomer = story.join();
    auto next = story.world.now() + period / 2;
    story.live(lasts, [&] {
        if (story.world.now() < next) return;
        next += period / 2;
        toggle(story, newcomer);
    });
    if (!story.cluster.machine(newcomer).up()) story.restart(newcomer);
}

}  // namespace past::test
