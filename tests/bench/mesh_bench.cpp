// The mesh at sizes that no test has time for.
//
//     mesh_bench publish [ids = 1000000] [nodes = 100]      a node that publishes so many: what a full republish sends,
//     and
//                                                          what a pointer takes of memory
//     mesh_bench wide [nodes = 500] [questions = 20000]     2.3 % of the pairs cut, 1 % loss: locates that fail
//     mesh_bench churn [nodes = 300] [minutes = 120] [questions = 40000]     sessions of an hour: the same, and bytes
//
// Goals: as many messages as next hops, and as many more as 256 KiB of announcements fill; less than 0.1 % of the
// locates with bad pairs fail, and less than 0.01 % under churn.
#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <new>
#include <string>

#include "pastry/alone.hpp"
#include "pointers/pointer_table.hpp"
#include "tapestry/mesh.hpp"
#include "tapestry/workload.hpp"

namespace {

std::size_t heap = 0;  // what is allocated, as the allocator rounds it
std::size_t most = 0;

}  // namespace

void* operator new(std::size_t size) {
    void* const block = std::malloc(size);
    if (block == nullptr) throw std::bad_alloc{};
    heap += ::malloc_usable_size(block) + sizeof(std::size_t);
    most = std::max(most, heap);
    return block;
}
void operator delete(void* block) noexcept {
    if (block != nullptr) heap -= ::malloc_usable_size(block) + sizeof(std::size_t);
    std::free(block);
}
void operator delete(void* block, std::size_t) noexcept { operator delete(block); }

namespace tapestry::testing {
namespace {

double heap_bytes() { return static_cast<double>(heap); }
double peak_bytes() { return static_cast<double>(std::exchange(most, heap)); }

std::vector<base::Guid> random_objects(base::Rng& rng, std::size_t count) {
    std::vector<base::Guid> objects;
    objects.reserve(count);
    for (std::size_t i = 0; i < count; ++i) objects.push_back(rng.guid());
    return objects;
}

/// One whose keys are all its own: nothing is kept anywhere but its list of ids.
struct Publisher {
    explicit Publisher(base::sim::Node& machine, base::NodeEnv& env)
        : kbr{env, {machine.address(), {}}},
          dolr{env, kbr, {machine.key(), base::Key{}, base::Guid{}}, [](const base::NodeId&) { return true; }} {}
    pastry::Alone kbr;
    Node dolr;
};

void memory_of_the_publisher(std::size_t ids) {
    base::sim::World world{1};
    auto& machine = world.add_node();
    auto& publisher = machine.start([&](base::NodeEnv& env) { return std::make_unique<Publisher>(machine, env); });
    publisher.dolr.start(true);
    world.run_for(std::chrono::seconds{1});
    const auto objects = random_objects(world.rng(), ids);
    const double before = heap_bytes();
    (void)peak_bytes();
    publisher.dolr.publish(objects);
    world.run_for(std::chrono::seconds{10});
    const auto per_id = [&](double bytes) { return (bytes - before) / static_cast<double>(ids); };
    std::printf("memory of the publisher: %.0f bytes an id, %.0f while it announces them first", per_id(heap_bytes()),
                per_id(peak_bytes()));
    world.run_for(std::chrono::minutes{10});
    std::printf(", %.0f while it does so again\n", per_id(peak_bytes()));
}

void memory_of_a_holder(std::size_t pointers, std::size_t group) {
    base::sim::World world{2};
    const Identity identity{base::SigningKey{base::Key{1}}, base::Key{2}, base::Guid{}};
    auto objects = random_objects(world.rng(), pointers);
    std::ranges::sort(objects);
    const double before = heap_bytes();
    PointerTable table{{.pointers = 1U << 30U, .bytes = std::size_t{1} << 40U}};
    std::uint64_t stamp = 0;
    for (std::size_t begin = 0; begin < objects.size(); begin += group) {
        const auto count = std::min(group, objects.size() - begin);
        auto announcement = Announcement::sign(identity, {"host.example:4000", 0, ++stamp, std::chrono::seconds{750}},
                                               std::span{objects}.subspan(begin, count));
        (void)table.take({}, {.announcement = announcement.detached()}, {0, count}, true);
    }
    const auto each = [&](double bytes) { return bytes / static_cast<double>(table.pointers()); };
    std::printf("memory of a holder, groups of %zu: %.0f bytes a pointer (reckoned: %.0f)\n", group,
                each(heap_bytes() - before), each(static_cast<double>(table.bytes())));
}

void republish(std::size_t ids, std::size_t nodes) {
    Mesh mesh{44};
    mesh.add_directly(nodes);
    const auto objects = random_objects(mesh.world.rng(), ids);
    const auto period = mesh.options.dolr.republish_period;
    mesh.dolr(0).publish(objects);
    mesh.world.run_for(period * 6 / 5);  // the first, and one more for all
    const auto first = mesh.dolr(0).status();
    const auto total = mesh.world.network().total();
    const auto begun = std::clock();
    mesh.world.run_for(period);
    const auto seconds = static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC;
    const auto second = mesh.dolr(0).status();
    std::set<base::NodeId> next;
    for (unsigned root = 0; root < mesh.options.dolr.roots; ++root) {
        for (const auto& object : objects) {
            for (const auto& hop : mesh.ring(0).next_hops(root_key(object, root), 1 + mesh.options.dolr.backups_told)) {
                next.insert(hop.node.id());
            }
        }
    }
    const auto messages = second.publishes_sent - first.publishes_sent;
    const auto bytes = second.bytes_sent - first.bytes_sent;
    std::size_t pointers = 0;
    for (NodeIndex i = 0; i < nodes; ++i) pointers += mesh.dolr(i).status().pointers;
    std::printf(
        "%zu ids, %zu nodes, %zu next hops: a republish is %llu messages and %.1f MB (floor: %.0f of 256 KiB)\n", ids,
        nodes, next.size(), static_cast<unsigned long long>(messages), static_cast<double>(bytes) / 1e6,
        static_cast<double>(bytes) / (256 * 1024));
    const auto all = mesh.world.network().total();
    std::printf("in all: %llu requests and %.1f MB, %zu pointers; %.1f s of CPU for all nodes\n",
                static_cast<unsigned long long>(all.requests_sent - total.requests_sent),
                static_cast<double>(all.bytes_sent - total.bytes_sent) / 1e6, pointers, seconds);
}

void publish(std::size_t ids, std::size_t nodes) {
    memory_of_the_publisher(ids);
    for (const std::size_t group : {std::size_t{512}, std::size_t{16}, std::size_t{1}}) memory_of_a_holder(ids, group);
    republish(ids, nodes);
}

void wide(std::size_t nodes, std::size_t questions) {
    for (const std::uint64_t seed : {1U, 2U, 3U}) {
        for (const bool changing : {false, true}) {
            auto tally = locates_with_bad_pairs(seed, nodes, questions, changing);
            std::printf("%zu nodes, bad pairs %s, seed %llu: %s\n", nodes, changing ? "that change" : "for good",
                        static_cast<unsigned long long>(seed), tally.text().c_str());
        }
    }
}

void churn(std::size_t nodes, std::size_t minutes, std::size_t questions) {
    for (const double shape : {1.0, 0.5}) {
        auto lived = locates_under_churn(1, nodes, std::chrono::minutes{minutes}, questions, shape);
        std::printf("%zu nodes, %zu minutes, Weibull shape %.1f: %s\n", nodes, minutes, shape, lived.text().c_str());
    }
}

}  // namespace
}  // namespace tapestry::testing

int main(int argc, char** argv) {
    const auto number = [&](int at, std::size_t otherwise) { return argc > at ? std::stoul(argv[at]) : otherwise; };
    const std::string what = argc > 1 ? argv[1] : "";
    using namespace tapestry::testing;
    if (what == "publish") {
        publish(number(2, 1'000'000), number(3, 100));
    } else if (what == "wide") {
        wide(number(2, 500), number(3, 20'000));
    } else if (what == "churn") {
        churn(number(2, 300), number(3, 120), number(4, 40'000));
    } else {
        std::fprintf(stderr, "mesh_bench publish|wide|churn: see the head of the source\n");
        return 2;
    }
    return 0;
}
