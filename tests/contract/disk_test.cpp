#include "base/sim/disk.hpp"
#include "base/host/host_disk.hpp"
#include "contract/disk_contract.hpp"
#include "contract/temporary_directory.hpp"

namespace base {
namespace {

class SimulatedDisk final : public DiskUnderTest {
  public:
    Disk& disk() override { return disk_; }
    std::unique_ptr<Disk> another_process() override { return disk_.process_door(); }

  private:
    sim::Disk disk_{/*seed=*/1};
};

/// No faults planted: it must be a Disk like any other.
class HonestLyingDisk final : public DiskUnderTest {
  public:
    Disk& disk() override { return liar_; }
    std::unique_ptr<Disk> another_process() override { return disk_.process_door(); }

  private:
    sim::Disk disk_{/*seed=*/1};
    sim::LyingDisk liar_{disk_, {}};
};

class RealDisk final : public DiskUnderTest {
  public:
    Disk& disk() override { return *disk_; }
    std::unique_ptr<Disk> another_process() override { return host::HostDisk::open(directory_.path()).value(); }

  private:
    TemporaryDirectory directory_;
    std::unique_ptr<Disk> disk_ = host::HostDisk::open(directory_.path()).value();
};

template <class Kind>
DiskMaker maker(std::string name) {
    return {std::move(name), [] { return std::make_unique<Kind>(); }};
}

INSTANTIATE_TEST_SUITE_P(Doors, DiskContract,
                         testing::Values(maker<SimulatedDisk>("sim"), maker<HonestLyingDisk>("lying"),
                                         maker<RealDisk>("host")),
                         maker_name);

}  // namespace
}  // namespace base
