use image::Rgb;

use super::*;

/// YuvMatrix of a test card, as YUV in BT.601 with limited range and as RGB.
const COLOURS: [([u8; 3], [u8; 3]); 8] = [
    ([16, 128, 128], [0, 0, 0]),
    ([235, 128, 128], [255, 255, 255]),
    ([126, 128, 128], [128, 128, 128]),
    ([81, 90, 240], [255, 0, 0]),
    ([145, 54, 34], [0, 255, 0]),
    ([41, 240, 110], [0, 0, 255]),
    ([210, 16, 146], [255, 255, 0]),
    ([170, 166, 16], [0, 255, 255]),
];

const FORMATS: [PixelFormat; 7] = [
    PixelFormat::Yuyv,
    PixelFormat::Uyvy,
    PixelFormat::Nv12,
    PixelFormat::Yu12,
    PixelFormat::Rgb,
    PixelFormat::Bgr,
    PixelFormat::Gray,
];

fn layout(format: PixelFormat, width: u32, height: u32, stride: u32) -> Layout {
    Layout {
        format,
        width,
        height,
        stride,
        colours: YuvMatrix::of_driver(0, 0, 0),
    }
}

fn decoded(format: PixelFormat, bytes: &[u8], (width, height): (u32, u32)) -> RgbImage {
    to_rgb(&layout(format, width, height, 0), bytes, (1, 1)).expect("whole")
}

#[track_caller]
fn assert_near(found: &Rgb<u8>, expected: [u8; 3]) {
    let mut channels = found.0.iter().zip(expected);
    let is_near = channels.all(|(a, b)| a.abs_diff(b) <= 2);
    assert!(is_near, "{found:?}, not {expected:?}");
}

/// Y, U and V of a pixel, all different and with an own value for each pair of pixels.
fn yuv_at(x: u32, y: u32) -> [u8; 3] {
    let (across, down) = (x / 2, y / 2);
    let part = |value: u32| (value % 200 + 20) as u8;
    [
        part(x * 31 + y * 17),
        part(across * 53 + down * 7),
        part(across * 11 + down * 71),
    ]
}

/// That picture in a format, with rows and planes padded by so many bytes of junk.
fn encoded(format: PixelFormat, width: u32, height: u32, padding: u32) -> (Vec<u8>, u32) {
    let pairs = width.div_ceil(2);
    // U and V of two rows in 4:2:0 are those of the upper one; `yuv_at` gives both the same.
    let luma = |x: u32, y: u32| yuv_at(x.min(width - 1), y)[0];
    let packed = |order: [usize; 4]| {
        move |y: u32| -> Vec<u8> {
            let pair = |pair: u32| {
                let [_, u, v] = yuv_at(pair * 2, y);
                let parts = [luma(pair * 2, y), u, luma(pair * 2 + 1, y), v];
                order.map(|part| parts[part])
            };
            (0..pairs).flat_map(pair).collect()
        }
    };
    let row = |y: u32| -> Vec<u8> {
        match format {
            PixelFormat::Yuyv => packed([0, 1, 2, 3])(y),
            PixelFormat::Uyvy => packed([1, 0, 3, 2])(y),
            PixelFormat::Rgb => (0..width).flat_map(|x| yuv_at(x, y)).collect(),
            PixelFormat::Bgr => (0..width)
                .flat_map(|x| {
                    let [r, g, b] = yuv_at(x, y);
                    [b, g, r]
                })
                .collect(),
            _ => (0..width).map(|x| luma(x, y)).collect(),
        }
    };
    // The chroma of an odd width needs a byte more than its luma in one of the formats.
    let least = row(0).len() as u32 + width % 2;
    let stride = if padding == 0 {
        row(0).len() as u32
    } else {
        (least + padding) / 2 * 2
    };
    let pad = |mut bytes: Vec<u8>, stride: u32| {
        bytes.resize(bytes.len().max(stride as usize), 0xee);
        bytes
    };
    let mut bytes: Vec<u8> = (0..height).flat_map(|y| pad(row(y), stride)).collect();
    let chroma = |part: usize, y: u32| (0..pairs).map(move |pair| yuv_at(pair * 2, y * 2)[part]);
    let down = height.div_ceil(2);
    match format {
        PixelFormat::Nv12 => bytes.extend((0..down).flat_map(|y| {
            let both = chroma(1, y).zip(chroma(2, y)).flat_map(|(u, v)| [u, v]);
            pad(both.collect(), stride)
        })),
        PixelFormat::Yu12 => bytes.extend([1, 2].into_iter().flat_map(|part| {
            (0..down).flat_map(move |y| pad(chroma(part, y).collect(), stride.div_ceil(2)))
        })),
        _ => {}
    }
    (bytes, stride)
}

#[test]
fn every_format_gives_the_same_picture_padded_or_not_and_of_any_size() {
    let sizes = [(8, 6), (7, 5), (1, 1), (2, 3), (33, 2)];
    for format in FORMATS {
        for ((width, height), padding) in sizes
            .into_iter()
            .flat_map(|size| [(size, 0), (size, 2), (size, 64)])
        {
            let (bytes, stride) = encoded(format, width, height, padding);
            let layout = layout(format, width, height, stride);
            let picture = to_rgb(&layout, &bytes, (1, 1)).expect("whole");
            assert_eq!(picture.dimensions(), (width, height));
            for (x, y, pixel) in picture.enumerate_pixels() {
                let yuv = yuv_at(x, y);
                let expected = match format {
                    PixelFormat::Rgb | PixelFormat::Bgr => yuv,
                    PixelFormat::Gray => [yuv[0]; 3],
                    _ => {
                        decoded(PixelFormat::Yuyv, &[yuv[0], yuv[1], yuv[0], yuv[2]], (1, 1))
                            .get_pixel(0, 0)
                            .0
                    }
                };
                assert_eq!(pixel.0, expected, "{layout:?} at {x}, {y}");
            }
        }
    }
}

#[test]
fn colours_of_a_test_card_come_out_right() {
    for ([y, u, v], rgb) in COLOURS {
        let planes = [vec![y; 8], [u, v].repeat(2)].concat();
        let pictures = [
            decoded(PixelFormat::Yuyv, &[y, u, y, v].repeat(4), (4, 2)),
            decoded(PixelFormat::Uyvy, &[u, y, v, y].repeat(4), (4, 2)),
            decoded(PixelFormat::Nv12, &planes, (4, 2)),
            decoded(
                PixelFormat::Yu12,
                &[&[y; 8][..], &[u, u, v, v]].concat(),
                (4, 2),
            ),
        ];
        for picture in pictures {
            picture.pixels().for_each(|pixel| assert_near(pixel, rgb));
        }
    }
}

#[test]
fn packed_formats_are_put_in_order() {
    let bytes = [10, 20, 30, 40, 50, 60, 99];
    let raw = |format, bytes| decoded(format, bytes, (2, 1)).into_raw();
    assert_eq!(raw(PixelFormat::Rgb, &bytes), [10, 20, 30, 40, 50, 60]);
    assert_eq!(raw(PixelFormat::Bgr, &bytes), [30, 20, 10, 60, 50, 40]);
    assert_eq!(raw(PixelFormat::Gray, &bytes), [10, 10, 10, 20, 20, 20]);
}

#[test]
fn a_jpeg_frame_is_decoded_whatever_stands_behind_it() {
    let picture = RgbImage::from_pixel(16, 8, Rgb([200, 30, 30]));
    let mut file = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut file, image::ImageFormat::Jpeg)
        .expect("encoded");
    let mut bytes = file.into_inner();
    bytes.extend([7; 300]);
    let picture = decoded(PixelFormat::Mjpeg, &bytes, (16, 8));
    assert_eq!(picture.dimensions(), (16, 8));
    assert_near(picture.get_pixel(8, 4), [200, 30, 30]);
    let cut = to_rgb(&layout(PixelFormat::Mjpeg, 16, 8, 0), &bytes[..20], (1, 1));
    assert!(cut.is_err());
}

#[test]
fn too_few_bytes_are_no_picture() {
    for format in FORMATS {
        for padding in [0, 8] {
            let (bytes, stride) = encoded(format, 5, 4, padding);
            let layout = layout(format, 5, 4, stride);
            let needed = layout.needed() as usize;
            assert!(needed <= bytes.len());
            assert!(
                to_rgb(&layout, &bytes[..needed], (1, 1)).is_ok(),
                "{layout:?}"
            );
            let said = to_rgb(&layout, &bytes[..needed - 1], (1, 1)).expect_err("too few");
            assert!(
                said.contains(&format!("is {needed} bytes, {} came", needed - 1)),
                "{said}"
            );
            assert!(to_rgb(&layout, &[], (1, 1)).is_err());
        }
    }
}
